import FuseServer
import VolumeFS

// The settings of a mount in the words of the modules that carry them out.

extension MountSettings {
    func volumeOptions(isReadOnly: Bool) -> VolumeOptions {
        var options = VolumeOptions()
        options.cacheBytes = cacheBytes
        options.flushIntervalMilliseconds = flushInterval.milliseconds
        options.attributeTimeoutSeconds = attributeTimeout?.seconds
        options.entryTimeoutSeconds = entryTimeout?.seconds
        options.accessTimes =
            switch accessTimes {
            case .noatime: .noatime
            case .relatime: .relatime
            case .strictatime: .strictatime
            }
        options.isReadOnly = isReadOnly
        return options
    }
}

extension MountPlan {
    func fuseOptions(isReadOnly: Bool) -> FuseOptions {
        var options = FuseOptions()
        options.threads = settings.threads
        options.clonesDescriptors = settings.cloneDescriptor
        options.splice = settings.splice
        options.allowsOther = settings.allowOther
        options.exportsHandles = settings.exportsHandles
        options.readOnly = isReadOnly
        options.sourceName = shownSource
        // The others are the volume's business alone; libfuse knows no word for them.
        let atime = settings.accessTimes == .noatime ? ["noatime"] : []
        options.mountOptions = settings.fuseOptions + atime
        options.debug = settings.isDebug
        return options
    }
}

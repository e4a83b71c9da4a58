import FuseServer
import VolumeFS

// The settings of a mount in the words of the modules that carry them out.

extension MountPlan {
    func volumeOptions(isReadOnly: Bool) -> VolumeOptions {
        var options = VolumeOptions()
        options.cacheBytes = settings.cacheBytes
        // What a volume in this process takes is no reason for a smaller cache.
        if source.place != .memory {
            options.memoryLimitBytes = settings.cacheBytes + VolumeOptions.overheadBytes
        }
        options.flushIntervalMilliseconds = settings.flushInterval.milliseconds
        options.attributeTimeoutSeconds = settings.attributeTimeout?.seconds
        options.entryTimeoutSeconds = settings.entryTimeout?.seconds
        options.accessTimes =
            switch settings.accessTimes {
            case .noatime: .noatime
            case .relatime: .relatime
            case .strictatime: .strictatime
            }
        options.isReadOnly = isReadOnly
        return options
    }

    func fuseOptions(isReadOnly: Bool) -> FuseOptions {
        var options = FuseOptions()
        options.threads = settings.threads
        options.clonesDescriptors = settings.cloneDescriptor
        options.transport = settings.transport
        options.splice = settings.splice
        options.allowsOther = settings.allowOther
        options.exportsHandles = settings.exportsHandles
        options.localLocks = settings.localLocks
        options.readOnly = isReadOnly
        options.sourceName = shownSource
        // The others are the volume's business alone; libfuse knows no word for them.
        let atime = settings.accessTimes == .noatime ? ["noatime"] : []
        options.mountOptions = settings.fuseOptions + atime
        options.debug = settings.isDebug
        return options
    }
}

import FileSystem
import KeyValue
import Primitives
import Redis
import Telemetry

extension KeyspaceFileSystem {
    /// From the thread of the subscription.
    func apply(_ event: SubscriptionEvent) {
        switch event {
        case .established:
            setLive(true)
            dropEverything()
        case .interrupted: setLive(false)
        case .message(let key):
            metrics.add(.invalidationsReceived)
            if naming.shows(key) { apply(changeOf: key) }
        }
    }

    private func setLive(_ isLive: Bool) {
        index.setLive(isLive)
        textSizes.setLive(isLive)
    }

    /// Somebody has changed, made or removed a key; perhaps this mount itself.
    private func apply(changeOf key: Bytes) {
        index.note(key)
        textSizes.forget(key)
        // A time that moves after the last write would look like a change of somebody else's.
        if !own.contains(key) { remembered.touch(.value(key: key)) }
        guard let notifier = notifier.withLock({ $0 }) else { return }
        for inode in inodes.inodes(of: key) {
            guard let place = inode.livingPlace else { continue }
            // An open handle reads on what it has; whoever asks next has it counted anew.
            inode.withState { $0.renderedBytes = 0 }
            notifier.invalidateInode(inode.id, range: 0..<UInt64.max)
            doubt(place, notifier)
        }
    }

    /// The kernel asks again before it believes the name of a place.
    func doubt(_ place: Place) {
        if let notifier = notifier.withLock({ $0 }) { doubt(place, notifier) }
    }

    private func doubt(_ place: Place, _ notifier: any KernelNotifier) {
        guard let above = naming.parent(of: place), let parent = inodes.known(above) else { return }
        for name in possibleNames(of: place) {
            notifier.invalidateEntry(parent: parent.id, name: name)
        }
    }

    /// The names under which the kernel may know a place; none for a long one, which times out.
    private func possibleNames(of place: Place) -> [Bytes] {
        let names: [Bytes]
        switch place {
        case .value(let key), .hash(let key, _):
            let home = naming.home(of: key)
            let plain = naming.name(of: key, in: home)
            names =
                [plain, naming.name(of: key, in: home, isRivalled: true), plain + NameMark.value]
        case .field(let key, let field):
            guard naming.hashes == .fields else { return [naming.name(of: field)] }
            let plain = naming.name(of: field, ofHash: key, in: naming.home(of: key))
            names = [plain, plain + NameMark.value]
        case .directory(let directory):
            guard directory.prefix.count > naming.rootPrefix.count, directory.pending.isEmpty,
                case .directory(let above)? = naming.parent(of: place)
            else { return [] }
            names = [naming.name(of: directory, in: above.prefix)]
        case .updater: return []
        }
        return Array(Set(names.filter { $0.count <= FileName.maximumByteCount }))
    }

    /// Nothing that is known of names and contents is to be believed.
    func dropEverything() {
        guard let notifier = notifier.withLock({ $0 }) else { return }
        let all = inodes.snapshot()
        let doubtsAll = notifier.invalidateAllEntries()
        for inode in all {
            notifier.invalidateInode(inode.id, range: 0..<UInt64.max)
            if !doubtsAll, let place = inode.livingPlace { doubt(place, notifier) }
        }
    }

    /// `.updater` was touched.
    func updateEverything() {
        index.doubt()
        textSizes.forgetAll()
        live.withLock { $0 }?.dropSoon()
    }

    /// Has the kernel forget those that it has known longest when there are too many.
    func trimInodes() {
        guard inodes.count > options.inodeLimit, let notifier = notifier.withLock({ $0 }) else {
            return
        }
        for inode in inodes.surplus(beyond: options.inodeLimit) {
            guard let place = inode.livingPlace else { continue }
            doubt(place, notifier)
        }
    }
}

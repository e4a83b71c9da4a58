import FileSystem
import KeyValue
import Logging
import Primitives
import Telemetry

/// What the keeper thread is asked to do.
struct KeeperTasks {
    /// This mount was fenced: it needs a new session.
    var mustRegister = false
    /// Inodes of which programs of this mount held locks when it was fenced.
    var lostLocks: [InodeID] = []
    /// The lease was renewed: those of others may be over.
    var mustLookAfterSessions = false
    /// The sessions changed.
    var mustRefresh = false
    /// Those who wait for locks may have been given them unheard.
    var mustRecheckLocks = false
    /// Locks that nobody wants any more.
    var strayLocks: [StrayLock] = []
    var isStopping = false

    var isUrgent: Bool {
        isStopping || mustRegister || mustLookAfterSessions || mustRefresh || mustRecheckLocks
            || !strayLocks.isEmpty
    }
}

/// The threads and the subscription of a running volume.
struct Life {
    var tasks = KeeperTasks()
    var leaseholder: WorkerThread?
    var keeper: WorkerThread?
    var reaper: WorkerThread?
    var subscription: (any Subscription)?
    var hooks: VolumeHooks?
    /// The number of the last change message; `nil` until one came.
    var lastChange: UInt64?
    /// When the lease is renewed next.
    var nextRenewal = Deadline.now
    var isClosed = false
}

extension VolumeStore {
    /// How long `start` waits for the subscription, without which this mount never counts as alone.
    private static let subscriptionMilliseconds = 5_000
    /// While this mount is alone, the messages that come are its own, and one that says that another mount
    /// has joined may wait so long: that mount waits for an answer, and changes nothing before.
    private static let lonePatienceMilliseconds = 2
    /// Between attempts of the keeper, or to renew the lease, that failed.
    private static let retryMilliseconds = 1_000

    /// Starts lease renewal, the reaper and the subscription.
    public func start(
        onChange: @escaping @Sendable (RemoteChange) -> Void
    ) {
        start(VolumeHooks(onChange: onChange))
    }

    public func start(_ hooks: VolumeHooks) {
        life.withLock {
            $0.hooks = hooks
            $0.nextRenewal = .after(milliseconds: Membership.renewalMilliseconds)
        }
        do throws(StoreError) {
            let subscription = try store.subscribe(to: schema.channel) { [weak self] event in
                self?.received(event)
            }
            subscription.setPatience { [weak self] in
                self?.isAlone == true ? Self.lonePatienceMilliseconds : 0
            }
            life.withLock { $0.subscription = subscription }
            let deadline = Deadline.after(milliseconds: Self.subscriptionMilliseconds)
            let isHeard: Bool? = membership.state.wait(until: deadline) {
                $0.isSubscribed ? true : nil
            }
            // Cleans up after dead processes of this host, too: while their sessions are there, writes
            // wait for them to end (`awaitPermissionToWrite`).
            if isHeard == true, !isReadOnly {
                try renewLease()
                try lookAfterSessions()
            }
        } catch {
            logger.warning("no change messages yet", metadata: ["error": "\(error)"])
            keeperTask { $0.mustRefresh = true }
        }
        guard !isReadOnly else { return }
        let leaseholder = WorkerThread(name: "apusfs-lease") { [weak self] in
            while let self, self.renewOnce() {}
        }
        let keeper = WorkerThread(name: "apusfs-keeper") { [weak self] in
            while let self, self.keepOnce() {}
        }
        let collector = WorkerThread(name: "apusfs-reaper") { [weak self] in
            while let self, self.reapOnce() {}
        }
        life.withLock {
            $0.leaseholder = leaseholder
            $0.keeper = keeper
            $0.reaper = collector
        }
    }

    /// Reaps what is due to this session (everything when it is the last one), deregisters and joins
    /// the threads. The store stays open.
    public func close() {
        let isFirst = life.change { life in
            defer { life.isClosed = true }
            life.tasks.isStopping = true
            return !life.isClosed
        }
        guard isFirst else { return }
        reaper.stop()
        let (subscription, threads) = life.withLock {
            ($0.subscription, [$0.leaseholder, $0.keeper, $0.reaper])
        }
        subscription?.cancel()
        for thread in threads { thread?.join() }
        life.withLock { $0.hooks = nil }
        packers.end()
        guard !isReadOnly else { return }
        do throws(StoreError) {
            try releaseOwnLocks()
            try reapAtEnd()
            try deregister()
        } catch {
            logger.warning(
                "the session could not be ended; others clean up when its lease is over",
                metadata: ["error": "\(error)"])
        }
    }

    func keeperTask(_ change: (inout KeeperTasks) -> Void) {
        life.change { change(&$0.tasks) }
    }

    /// One round of the thread that keeps the lease and does nothing else, so that nothing that takes long
    /// costs this mount its session; `false` at the end.
    private func renewOnce() -> Bool {
        let renewal = life.withLock { $0.nextRenewal }
        let isStopping: Bool? = life.wait(until: renewal) { life in
            if life.tasks.isStopping { return true }
            return life.nextRenewal.hasPassed ? false : nil
        }
        if isStopping == true { return false }
        var pause = Membership.renewalMilliseconds
        do throws(StoreError) {
            // Fenced, this mount has no lease before the keeper has registered it anew.
            if membership.state.withLock({ $0.isRegistered }) { try renewLease() }
            keeperTask { $0.mustLookAfterSessions = true }
        } catch {
            noteFailure(error)
            pause = Self.retryMilliseconds
        }
        life.withLock { $0.nextRenewal = .after(milliseconds: pause) }
        return true
    }

    /// One round of the keeper thread; `false` at the end.
    private func keepOnce() -> Bool {
        let tasks = life.wait { life -> KeeperTasks? in
            let tasks = life.tasks
            guard tasks.isUrgent else { return nil }
            life.tasks = KeeperTasks()
            life.tasks.isStopping = tasks.isStopping
            return tasks
        }
        guard let tasks, !tasks.isStopping else { return false }
        do throws(StoreError) {
            try carryOut(tasks)
        } catch {
            keeperFailed(error, tasks)
        }
        return true
    }

    private func carryOut(_ tasks: KeeperTasks) throws(StoreError) {
        if tasks.mustRegister {
            life.withLock { $0.hooks }?.onFenced(tasks.lostLocks)
            try register()
            announce(.everything)
            life.withLock { $0.hooks }?.onRegistered()
        } else if tasks.mustLookAfterSessions {
            try lookAfterSessions()
        } else if tasks.mustRefresh {
            try refreshMembership()
        }
        if tasks.mustLookAfterSessions { try withdrawAbandoned() }
        if tasks.mustRecheckLocks { try recheckWaiters() }
        for stray in tasks.strayLocks { try giveUp(stray) }
    }

    private func keeperFailed(_ error: StoreError, _ tasks: KeeperTasks) {
        noteFailure(error)
        // Waits, unless the end comes.
        let _: Bool? = life.wait(until: .after(milliseconds: Self.retryMilliseconds)) {
            $0.tasks.isStopping ? true : nil
        }
        keeperTask {
            $0.mustRegister = $0.mustRegister || tasks.mustRegister
            $0.mustLookAfterSessions = $0.mustLookAfterSessions || tasks.mustLookAfterSessions
            $0.mustRecheckLocks = $0.mustRecheckLocks || tasks.mustRecheckLocks
            $0.strayLocks += tasks.strayLocks
        }
    }

    /// The session could not be kept: others may be there, or have taken this mount for dead.
    private func noteFailure(_ error: StoreError) {
        membership.doubt()
        logger.warning("keeping the session failed", metadata: ["error": "\(error)"])
        if error == .fenced { _ = errno(for: error) }
        keeperTask { $0.mustRefresh = true }
    }

    func announce(_ change: RemoteChange) {
        if case .everything = change { known.forgetAll() }
        life.withLock { $0.hooks }?.onChange(change)
    }

    /// Runs on a thread of the store's, in the order of the messages.
    private func received(_ event: SubscriptionEvent) {
        switch event {
        case .established:
            let isFirst = life.withLock { life in
                defer { life.lastChange = nil }
                return life.keeper == nil
            }
            listen(true)
            membership.state.change { $0.isSubscribed = true }
            if !isFirst {
                announce(.everything)
                keeperTask {
                    $0.mustRefresh = true
                    $0.mustRecheckLocks = true
                }
            }
        case .interrupted:
            listen(false)
            membership.state.change {
                $0.isSubscribed = false
                $0.isAlone = false
            }
            announce(.everything)
        case .message(let payload): received(payload)
        }
    }

    private func received(_ payload: Bytes) {
        do throws(FormatError) {
            let (number, message) = try ChangeMessage.parseNumbered(payload)
            let isGap = life.withLock { life in
                defer { life.lastChange = number }
                return life.lastChange.map { $0 &+ 1 != number } ?? false
            }
            if isGap {
                announce(.everything)
                keeperTask { $0.mustRecheckLocks = true }
            }
            defer { heard(number) }
            guard message.session != sessionID else { return }
            metrics.add(.invalidationsReceived, UInt64(message.changes.count))
            for change in message.changes { take(change) }
        } catch {
            metrics.add(.malformedRecords)
            logger.error("a change message cannot be right", metadata: ["what": "\(error.what)"])
            announce(.everything)
            keeperTask { $0.mustRecheckLocks = true }
        }
    }

    private func take(_ change: RemoteChange) {
        switch change {
        case .attributes(let inode), .removed(let inode), .data(let inode, _, _):
            known.forget(inode)
        case .sessions:
            membership.doubt()
            keeperTask { $0.mustRefresh = true }
        case .lockGranted(let inode, let session, let ticket):
            return lockWasGranted(inode, session, ticket)
        case .entry, .everything: break
        }
        announce(change)
    }
}

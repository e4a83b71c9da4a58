import KeyValue
import Primitives

/// What a mount says of itself to people who look at the volume's sessions.
public struct SessionDescription: Sendable, Equatable {
    public var host: String
    public var processID: Int32
    public var mountPoint: String
    public var version: String
    /// Tells whether `processID` can be looked up from here: machine, boot and PID namespace.
    public var machine: String

    public init(
        host: String, processID: Int32, mountPoint: String, version: String,
        machine: String = MachineIdentity.current
    ) {
        self.host = host
        self.processID = processID
        self.mountPoint = mountPoint
        self.version = version
        self.machine = machine
    }
}

/// What a mount has in use, as it says of itself at each renewal of its lease.
struct SessionUsage: Equatable {
    var openFiles = 0
    var heldLocks = 0

    var fields: [Pair] {
        [
            Pair(Field.openFiles, Bytes(decimal: Int64(openFiles))),
            Pair(Field.heldLocks, Bytes(decimal: Int64(heldLocks))),
        ]
    }
}

/// What this mount knows of itself and of the other sessions. A value behind a lock.
struct MembershipState {
    var id = SessionID(0)
    var key: Bytes = []
    var isRegistered = false
    /// The volume's session epoch as last seen.
    var epoch: Int64 = 0
    /// What registered sessions have said of themselves.
    var reports: [SessionID: SessionReport] = [:]
    /// What this session's hash says is in use.
    var saidUsage = SessionUsage()
    /// All registered sessions but this one, as last seen.
    var others: [SessionID] = []
    /// Sessions that ended without closing: what they stored and did not commit may still be there.
    var crashed: Set<UInt64> = []
    var isSubscribed = false
    /// This mount's session hash says `alone`, no other session exists, and none can have joined
    /// unheard.
    var isAlone = false
    /// By this machine's clock, when the lease is over at the latest: from then on others may have taken
    /// this session for dead, and nothing relies on being alone.
    var leaseEnd = Deadline.now
    /// This mount's session hash may say `alone`.
    var saysAlone = false
    /// Another session still says `alone`, so it may replace blocks without looking.
    var mustWaitForOthers = false
    /// Calls that rely on being alone and have not ended.
    var loneCalls = 0
}

/// The sessions of the volume as this mount knows them.
final class Membership: Sendable {
    static let leaseMilliseconds: Int64 = 30_000
    static let renewalMilliseconds = 10_000
    /// More sessions than this are not looked at.
    static let maximumSessions = 1_024

    /// The end of a lease that is asked for now: before the store's clock starts to count it.
    static var leaseEnd: Deadline { .after(milliseconds: Int(leaseMilliseconds)) }

    let description: SessionDescription
    let state = Monitor(MembershipState())

    init(description: SessionDescription) { self.description = description }

    var id: SessionID { state.withLock { $0.id } }

    /// The key under which batches of this session are remembered; empty before registration.
    func key(_ schema: Schema) -> Bytes { state.withLock { $0.key } }

    func hasCrashed(_ session: SessionID) -> Bool {
        guard session.rawValue != 0 else { return false }
        return state.withLock { $0.crashed.contains(session.rawValue) }
    }

    var isAlone: Bool { state.withLock { $0.isAlone && !$0.leaseEnd.hasPassed } }

    /// Another session may have joined: nothing relies on being alone from here on.
    func doubt() { state.change { $0.isAlone = false } }

    /// Returns whether this is news.
    func fence() -> Bool {
        state.change { state in
            state.isAlone = false
            defer { state.isRegistered = false }
            return state.isRegistered
        }
    }

    /// The epoch to which a call that relies on being alone conditions its batch; `nil` when others
    /// may be there. A call that got one ends with `endLoneCall()`.
    func beginLoneCall() -> Int64? {
        state.withLock { state in
            guard state.isAlone, !state.leaseEnd.hasPassed else { return nil }
            state.loneCalls += 1
            return state.epoch
        }
    }

    func endLoneCall() { state.change { $0.loneCalls -= 1 } }
}

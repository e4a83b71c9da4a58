import KeyValue
import Primitives

/// Hears which inodes mounts change while a check looks at them.
final class ChangeListener: Sendable {
    private struct State {
        var isEstablished = false
        var touched: Set<UInt64> = []
        /// Changes may have been missed, or were too many.
        var missedSome = false
        /// The number of the last message.
        var last: UInt64 = 0
    }

    /// More inodes than these count as all of them.
    private static let maximumTouched = 1_000_000
    private static let waitMilliseconds = 10_000

    private let state = Monitor(State())

    func listen(
        to channel: Bytes, of store: any KeyValueStore
    ) throws(StoreError) -> any Subscription {
        let subscription = try store.subscribe(to: channel) { [self] event in take(event) }
        let isHeard: Bool? = state.wait(until: .after(milliseconds: Self.waitMilliseconds)) {
            $0.isEstablished ? true : nil
        }
        guard isHeard == true else {
            subscription.cancel()
            throw .unavailable("no subscription to the volume's changes")
        }
        return subscription
    }

    /// Forgets what was heard; `number` is that of the volume's last change.
    func reset(at number: UInt64) {
        state.change { state in
            state.touched = []
            state.missedSome = !state.isEstablished
            state.last = max(state.last, number)
        }
    }

    /// Waits until the message `number` has been heard; then says whether an inode was changed since
    /// `reset(at:)`.
    func wasTouched(upTo number: UInt64) -> (InodeID) -> Bool {
        let heard: Bool? = state.wait(until: .after(milliseconds: Self.waitMilliseconds)) {
            $0.last >= number || $0.missedSome ? true : nil
        }
        let (touched, missedSome) = state.withLock { ($0.touched, $0.missedSome) }
        return { heard != true || missedSome || touched.contains($0.rawValue) }
    }

    private func take(_ event: SubscriptionEvent) {
        state.change { state in
            switch event {
            case .established: state.isEstablished = true
            case .interrupted:
                state.isEstablished = false
                state.missedSome = true
            case .message(let payload):
                do throws(FormatError) {
                    let (number, message) = try ChangeMessage.parseNumbered(payload)
                    state.last = number
                    // Session 0 is the check itself.
                    guard message.session.rawValue != 0 else { return }
                    for change in message.changes { Self.note(change, &state) }
                } catch {
                    state.missedSome = true
                }
            }
        }
    }

    private static func note(_ change: RemoteChange, _ state: inout State) {
        switch change {
        case .attributes(let inode), .removed(let inode):
            state.touched.insert(inode.rawValue)
            if state.touched.count > maximumTouched { state.missedSome = true }
        case .everything: state.missedSome = true
        case .entry, .data, .sessions, .lockGranted: break
        }
    }
}

import CFuse
import FileSystem
import Primitives

/// Requests for locks that are answered later than their handler returns, so that a program that waits
/// holds no worker.
///
/// libfuse is given a number and no pointer, since an interruption can arrive while the request is being
/// answered: a number that is not here any more means that there is nothing to do.
final class PendingLocks: Sendable {
    private struct Contents {
        var waits: [UInt: (wait: LockWait, request: DeferredRequest)] = [:]
        var lastNumber: UInt = 0
    }

    /// Rank: leaf.
    private let contents = Locked(Contents())

    func add(_ request: DeferredRequest) -> UInt {
        contents.withLock { contents in
            contents.lastNumber += 1
            contents.waits[contents.lastNumber] = (LockWait(), request)
            return contents.lastNumber
        }
    }

    /// Moves one of them on, and does what follows.
    func act(
        _ number: UInt, cancel: (LockTicket) -> Void, _ event: (inout LockWait) -> LockWait.Action
    ) {
        let (action, request) = contents.withLock {
            contents -> (LockWait.Action, DeferredRequest?) in
            guard var entry = contents.waits[number] else { return (.none, nil) }
            let action = event(&entry.wait)
            if case .answer = action {
                contents.waits[number] = nil
            } else {
                contents.waits[number] = entry
            }
            return (action, entry.request)
        }
        switch action {
        case .none: break
        case .answer(let errno): request?.answer(errno)
        case .cancel(let ticket): cancel(ticket)
        }
    }

    /// The mount is gone: gives libfuse its requests back.
    func endAll() {
        let rest = contents.withLock { contents in
            defer { contents.waits = [:] }
            return contents.waits.values.map(\.request)
        }
        for request in rest { request.answer(.interrupted) }
    }
}

/// A request whose answer does not come from the worker that received it.
struct DeferredRequest: @unchecked Sendable {
    // SAFETY: libfuse keeps it until it is answered, and may be answered from any thread; whoever
    // defers it sees to it that this happens once, before the session is destroyed.
    let pointer: OpaquePointer

    func answer(_ errno: Errno?) { fuse_reply_err(pointer, errno?.rawValue ?? 0) }

    /// One of the kernel's structs (linux/fuse.h). Whether the kernel took it.
    func reply(_ value: some BitwiseCopyable) -> Bool {
        withUnsafeBytes(of: value) { bytes in
            fuse_reply_buf(
                pointer, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count) == 0
        }
    }
}

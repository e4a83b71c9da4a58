import Glibc
import Primitives

// The same by TLS: encrypted in records of 16 KiB, each of which is one call of the system.
extension RedisSocket {
    func send(_ pieces: [iovec], by tls: TLSSession) throws(LinkFailure) {
        let record = tls.gathered
        var filled = 0
        for piece in pieces {
            var rest = UnsafeRawBufferPointer(start: piece.iov_base, count: piece.iov_len)
            while !rest.isEmpty {
                let taken: Int
                if filled == 0, rest.count >= record.count {
                    taken = rest.count / record.count * record.count
                    try write(UnsafeRawBufferPointer(rebasing: rest[..<taken]), by: tls)
                } else {
                    taken = min(rest.count, record.count - filled)
                    UnsafeMutableRawBufferPointer(rebasing: record[filled...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<taken]))
                    filled += taken
                    if filled == record.count {
                        try write(UnsafeRawBufferPointer(record), by: tls)
                        filled = 0
                    }
                }
                rest = UnsafeRawBufferPointer(rebasing: rest[taken...])
            }
        }
        try write(UnsafeRawBufferPointer(rebasing: record[..<filled]), by: tls)
    }

    private func write(
        _ bytes: UnsafeRawBufferPointer, by tls: TLSSession
    ) throws(LinkFailure) {
        var rest = bytes
        while !rest.isEmpty {
            switch tls.write(rest) {
            case .bytes(let count): rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            case let step: try wait(for: step)
            }
        }
    }

    func receive(
        into first: UnsafeMutableRawBufferPointer, then second: UnsafeMutableRawBufferPointer,
        by tls: TLSSession
    ) throws(LinkFailure) -> Int {
        var silentTicks = 0
        while true {
            let step = tls.read(into: first, then: second)
            if case .bytes(let count) = step { return count }
            if try wait(for: step) { continue }
            silentTicks += 1
            if silentTicks >= Self.patientTicks, Interruption.isRequested { throw .interrupted }
        }
    }

    /// Waits for what TLS waits for, a tick at most; returns whether it has come.
    @discardableResult
    private func wait(for step: TLSSession.Step) throws(LinkFailure) -> Bool {
        let events: Int32
        switch step {
        case .bytes: return true
        case .wantsRead: events = POLLIN
        case .wantsWrite: events = POLLOUT
        case .ended: throw .closedByServer
        case .failed(let text): throw .tls(text)
        }
        var waited = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        guard poll(&waited, 1, Int32(Self.tickMilliseconds)) <= 0 else { return true }
        if shouldGiveUp() { throw .timedOut }
        return false
    }
}

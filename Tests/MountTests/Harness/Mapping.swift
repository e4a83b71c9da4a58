import Glibc
import Primitives

/// A shared mapping of a part of a file.
final class Mapping {
    let bytes: UnsafeMutableRawBufferPointer

    init(
        _ file: Descriptor, count: Int, offset: Int = 0, protection: Int32 = PROT_READ | PROT_WRITE
    ) throws(Errno) {
        guard let address = mmap(nil, count, protection, MAP_SHARED, file.raw, offset),
            address != MAP_FAILED
        else { throw Errno(rawValue: errno) }
        bytes = UnsafeMutableRawBufferPointer(start: address, count: count)
    }

    deinit { munmap(bytes.baseAddress, bytes.count) }

    /// msync(2) with MS_SYNC.
    func sync() throws(Errno) {
        try SystemCall.check(msync(bytes.baseAddress, bytes.count, Int32(MS_SYNC)))
    }
}

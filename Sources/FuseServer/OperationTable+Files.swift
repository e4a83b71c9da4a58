import CFuse
import FileSystem
import Primitives

extension OperationTable {
    static func addFiles(to table: inout fuse_lowlevel_ops, splice: Bool) {
        addOpening(to: &table)
        addTransfer(to: &table, splice: splice)
        addRanges(to: &table)
    }

    private static func addOpening(to table: inout fuse_lowlevel_ops) {
        table.open = { request, inode, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.open(request, InodeID(inode), flags: file.pointee.flags)
            }
        }
        table.create = { request, parent, name, mode, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.create(
                    request, InodeID(parent), Limits.entryName(name), mode: mode,
                    flags: file.pointee.flags)
            }
        }
        table.flush = { request, inode, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.fileSystem.flush(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    lockOwner: file.pointee.lock_owner)
                request.succeed()
            }
        }
        table.release = { request, inode, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                server.fileSystem.release(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    lockOwner: file.pointee.lock_owner, flush: file.pointee.flush == 1,
                    releaseFlock: file.pointee.flock_release == 1)
                request.succeed()
            }
        }
        table.fsync = { request, inode, dataOnly, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.fileSystem.fsync(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    dataOnly: dataOnly != 0)
                request.succeed()
            }
        }
    }

    private static func addTransfer(to table: inout fuse_lowlevel_ops, splice: Bool) {
        table.read = { request, inode, count, offset, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.read(
                    request, InodeID(inode), HandleID(file.pointee.fh),
                    offset: FileOffset(signed: offset), count: count)
            }
        }
        // libfuse turns FUSE_CAP_SPLICE_READ on as soon as write_buf exists.
        guard splice else {
            table.write = { request, inode, bytes, count, offset, file in
                handle(request) { server, request throws(Errno) in
                    guard let file else { throw .invalid }
                    // SAFETY: the payload is lent inside the request.
                    try server.write(
                        request, InodeID(inode), HandleID(file.pointee.fh),
                        offset: FileOffset(signed: offset),
                        payload: UnsafeRawBufferPointer(start: bytes, count: count),
                        file: file.pointee)
                }
            }
            return
        }
        table.write_buf = { request, inode, vector, offset, file in
            handle(request) { server, request throws(Errno) in
                guard let file, let vector else { throw .invalid }
                try server.write(
                    request, InodeID(inode), HandleID(file.pointee.fh),
                    offset: FileOffset(signed: offset),
                    payload: SplicedPayload.bytes(of: vector, request.worker),
                    file: file.pointee)
            }
        }
    }

    private static func addRanges(to table: inout fuse_lowlevel_ops) {
        table.fallocate = { request, inode, mode, offset, length, file in
            handle(request) { server, request throws(Errno) in
                guard let file, length > 0 else { throw .invalid }
                try server.fileSystem.fallocate(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    mode: mode, offset: FileOffset(signed: offset), length: UInt64(length))
                request.succeed()
            }
        }
        table.lseek = { request, inode, offset, whence, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                // Before the start there is neither data nor hole: ENXIO, as on other filesystems.
                guard offset >= 0 else { throw .noSuchDevice }
                let found = try server.fileSystem.lseek(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    offset: FileOffset(signed: offset), whence: SeekWhence(whence))
                var answer = fuse_lseek_out()
                answer.offset = found.bytes
                request.reply(answer)
            }
        }
        table.copy_file_range = {
            request, inode, offset, file, newInode, newOffset, newFile, length, flags in
            handle(request) { server, request throws(Errno) in
                guard let file, let newFile, flags == 0 else { throw .invalid }
                let copied = try server.fileSystem.copyFileRange(
                    request.caller,
                    from: FileRangeStart(
                        inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                        offset: FileOffset(signed: offset)),
                    to: FileRangeStart(
                        inode: InodeID(newInode), handle: HandleID(newFile.pointee.fh),
                        offset: FileOffset(signed: newOffset)),
                    length: UInt64(length))
                var answer = fuse_write_out()
                answer.size = UInt32(clamping: copied)
                request.reply(answer)
            }
        }
        table.ioctl = { request, _, _, _, _, _, _, _, _ in
            handle(request) { _, _ throws(Errno) in throw .inappropriateIoctl }
        }
    }

    static func addDirectories(to table: inout fuse_lowlevel_ops) {
        table.opendir = { request, inode, _ in
            handle(request) { server, request throws(Errno) in
                try server.opendir(request, InodeID(inode))
            }
        }
        table.readdir = { request, inode, room, cookie, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.readdir(
                    request, InodeID(inode), HandleID(file.pointee.fh),
                    cookie: UInt64(bitPattern: Int64(cookie)), room: room, withAttributes: false)
            }
        }
        table.readdirplus = { request, inode, room, cookie, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.readdir(
                    request, InodeID(inode), HandleID(file.pointee.fh),
                    cookie: UInt64(bitPattern: Int64(cookie)), room: room, withAttributes: true)
            }
        }
        table.releasedir = { request, inode, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                server.fileSystem.releasedir(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh))
                request.succeed()
            }
        }
        table.fsyncdir = { request, inode, dataOnly, file in
            handle(request) { server, request throws(Errno) in
                guard let file else { throw .invalid }
                try server.fileSystem.fsyncdir(
                    request.caller, inode: InodeID(inode), handle: HandleID(file.pointee.fh),
                    dataOnly: dataOnly != 0)
                request.succeed()
            }
        }
    }
}

extension FileOffset {
    /// EINVAL for a negative `off_t`.
    fileprivate init(signed offset: Int) throws(Errno) {
        guard offset >= 0 else { throw .invalid }
        self.init(UInt64(offset))
    }
}

extension SeekWhence {
    /// SEEK_DATA and SEEK_HOLE of lseek(2); the kernel answers the others itself.
    fileprivate init(_ whence: Int32) throws(Errno) {
        switch whence {
        case 3: self = .data
        case 4: self = .hole
        default: throw .invalid
        }
    }
}

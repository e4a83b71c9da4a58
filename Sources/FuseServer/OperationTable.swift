import CFuse
import FileSystem
import Primitives
import Telemetry

/// The callbacks that libfuse dispatches to. Each decodes, calls one handler of `FuseServer`, and answers
/// with the errno that the handler throws. A handler that throws has not answered; one that answered does
/// not throw.
///
/// Not here, on purpose (docs/FUSE.md): poll, bmap.
enum OperationTable {
    static func make(splice: Bool) -> fuse_lowlevel_ops {
        var table = fuse_lowlevel_ops()
        addLife(to: &table)
        addNames(to: &table)
        addAttributes(to: &table)
        addExtendedAttributes(to: &table)
        addFiles(to: &table, splice: splice)
        addDirectories(to: &table)
        addLocks(to: &table)
        return table
    }

    private static func addLife(to table: inout fuse_lowlevel_ops) {
        table.`init` = { server, connection in
            guard let server, let connection else { return }
            // SAFETY: as in `handle`; libfuse lends the connection for the length of the call.
            Unmanaged<FuseServer>.fromOpaque(server)._withUnsafeGuaranteedRef {
                $0.initialize(&connection.pointee)
            }
        }
    }

    private static func addNames(to table: inout fuse_lowlevel_ops) {
        table.lookup = { request, parent, name in
            handle(request) { server, request throws(Errno) in
                try server.lookup(request, InodeID(parent), Limits.entryName(name))
            }
        }
        table.forget = { request, inode, count in
            handle(request) { server, request in
                server.fileSystem.forget(InodeID(inode), count: count)
                request.end()
            }
        }
        table.forget_multi = { request, count, forgets in
            handle(request) { server, request in
                // SAFETY: libfuse lends `count` of them for the length of the call.
                for forget in UnsafeBufferPointer(start: forgets, count: count) {
                    server.fileSystem.forget(InodeID(forget.ino), count: forget.nlookup)
                }
                request.end()
            }
        }
        table.mknod = { request, parent, name, mode, device in
            handle(request) { server, request throws(Errno) in
                let answer = try server.fileSystem.mknod(
                    request.caller, parent: InodeID(parent), name: Limits.entryName(name),
                    mode: mode, device: UInt32(truncatingIfNeeded: device))
                server.reply(answer, to: request)
            }
        }
        table.mkdir = { request, parent, name, mode in
            handle(request) { server, request throws(Errno) in
                let answer = try server.fileSystem.mkdir(
                    request.caller, parent: InodeID(parent), name: Limits.entryName(name),
                    mode: mode)
                server.reply(answer, to: request)
            }
        }
        table.symlink = { request, target, parent, name in
            handle(request) { server, request throws(Errno) in
                let answer = try server.fileSystem.symlink(
                    request.caller, target: Limits.target(target), parent: InodeID(parent),
                    name: Limits.entryName(name))
                server.reply(answer, to: request)
            }
        }
        table.link = { request, inode, parent, name in
            handle(request) { server, request throws(Errno) in
                let answer = try server.fileSystem.link(
                    request.caller, inode: InodeID(inode), newParent: InodeID(parent),
                    newName: Limits.entryName(name))
                server.reply(answer, to: request)
            }
        }
        addRemovals(to: &table)
    }

    private static func addRemovals(to table: inout fuse_lowlevel_ops) {
        table.unlink = { request, parent, name in
            handle(request) { server, request throws(Errno) in
                try server.fileSystem.unlink(
                    request.caller, parent: InodeID(parent), name: Limits.entryName(name))
                request.succeed()
            }
        }
        table.rmdir = { request, parent, name in
            handle(request) { server, request throws(Errno) in
                try server.fileSystem.rmdir(
                    request.caller, parent: InodeID(parent), name: Limits.entryName(name))
                request.succeed()
            }
        }
        table.rename = { request, parent, name, newParent, newName, flags in
            handle(request) { server, request throws(Errno) in
                try server.fileSystem.rename(
                    request.caller, parent: InodeID(parent), name: Limits.entryName(name),
                    newParent: InodeID(newParent), newName: Limits.entryName(newName),
                    flags: Limits.renameFlags(flags))
                request.succeed()
            }
        }
        table.readlink = { request, inode in
            handle(request) { server, request throws(Errno) in
                try server.readlink(request, InodeID(inode))
            }
        }
    }

    private static func addAttributes(to table: inout fuse_lowlevel_ops) {
        table.getattr = { request, inode, file in
            handle(request) { server, request throws(Errno) in
                let answer = try server.fileSystem.getattr(
                    request.caller, inode: InodeID(inode),
                    handle: file.map { HandleID($0.pointee.fh) })
                request.reply(fuse_attr_out(answer))
            }
        }
        table.setattr = { request, inode, attributes, chosen, file in
            handle(request) { server, request throws(Errno) in
                guard let attributes else { throw .invalid }
                let answer = try server.fileSystem.setattr(
                    request.caller, inode: InodeID(inode),
                    changes: AttributeChanges(
                        attributes.pointee, chosen: chosen,
                        clearsPrivileges: request.clearsPrivileges),
                    handle: file.map { HandleID($0.pointee.fh) })
                request.reply(fuse_attr_out(answer))
            }
        }
        table.access = { request, inode, mask in
            handle(request) { server, request throws(Errno) in
                try server.fileSystem.access(request.caller, inode: InodeID(inode), mask: mask)
                request.succeed()
            }
        }
        table.statfs = { request, inode in
            handle(request) { server, request throws(Errno) in
                let statistics = try server.fileSystem.statfs(
                    request.caller, inode: InodeID(inode))
                request.reply(fuse_statfs_out(statistics))
            }
        }
    }

    private static func addExtendedAttributes(to table: inout fuse_lowlevel_ops) {
        table.getxattr = { request, inode, name, room in
            handle(request) { server, request throws(Errno) in
                let value = try server.fileSystem.getxattr(
                    request.caller, inode: InodeID(inode), name: Limits.attributeName(name))
                try server.reply(value, room: room, to: request)
            }
        }
        table.listxattr = { request, inode, room in
            handle(request) { server, request throws(Errno) in
                let names = try server.fileSystem.listxattr(request.caller, inode: InodeID(inode))
                try server.reply(names, room: room, to: request)
            }
        }
        table.setxattr = { request, inode, name, value, count, flags in
            handle(request) { server, request throws(Errno) in
                guard count <= Limits.attributeValueBytes else { throw .argumentListTooLong }
                // SAFETY: the value is lent inside the request.
                try server.fileSystem.setxattr(
                    request.caller, inode: InodeID(inode), name: Limits.attributeName(name),
                    value: UnsafeRawBufferPointer(start: value, count: count),
                    mode: Limits.setXattrMode(flags))
                request.succeed()
            }
        }
        table.removexattr = { request, inode, name in
            handle(request) { server, request throws(Errno) in
                try server.fileSystem.removexattr(
                    request.caller, inode: InodeID(inode), name: Limits.attributeName(name))
                request.succeed()
            }
        }
    }
}

/// Runs one handler. A global function, because a C callback captures nothing, `self` included. Takes no
/// reference on the server, which all workers share.
@inline(__always)
func handle(
    _ pointer: fuse_req_t?, _ body: (FuseServer, Request) throws(Errno) -> Void
) {
    guard let pointer, let server = fuse_req_userdata(pointer) else { return }
    // SAFETY: the session's userdata is the server, which outlives its session.
    Unmanaged<FuseServer>.fromOpaque(server)._withUnsafeGuaranteedRef { server in
        server.metrics.add(.fuseRequests)
        let request = Request(pointer, server.ownWorker())
        request.worker.pointee.callerProcess = fuse_req_ctx(pointer)?.pointee.pid ?? 0
        do throws(Errno) {
            try body(server, request)
        } catch {
            server.metrics.add(.fuseErrors)
            request.fail(error)
        }
    }
}

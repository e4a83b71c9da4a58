import Foundation
import Glibc
import TestSupport
import Testing

extension MountTests {
    /// `file:DIR`: a private server that apusfs starts, shares, stops and recovers.
    @Suite struct EmbeddedStoreTests {
        @Test func `two mounts of one directory share a server, which ends with the last`() throws {
            try withMount(store: .file) { first in
                guard case .file(let directory) = first.store else { return }
                let server = try #require(serverProcess(directory))
                let place = try TemporaryDirectory()
                let words = ["mount", first.store.source, place.path, "--volume", Mount.volume]
                try Program.run(words).checked()
                defer { _ = try? Program.run(["umount", "--lazy", "--force", place.path]) }
                #expect(serverProcess(directory) == server)

                let bytes = Bytes.pattern(500_000, seed: 1)
                try SystemCall.writeFile(first.path + "/one", bytes)
                #expect(try SystemCall.readFile(place.path + "/one") == bytes)
                try SystemCall.writeFile(place.path + "/two", bytes)
                #expect(try SystemCall.readFile(first.path + "/two") == bytes)

                try first.unmount()
                #expect(Mount.isRunning(server))
                #expect(try SystemCall.readFile(place.path + "/two") == bytes)
                try Program.run(["umount", place.path]).checked()
                #expect(!Mount.isRunning(server))
                try first.mount()
                #expect(try Listing.names(first.path) == [".", "..", "one", "two"])
            }
        }

        @Test func `a daemon and a server that were killed leave what was synced`() throws {
            try withMount(store: .file) { mount in
                guard case .file(let directory) = mount.store else { return }
                let bytes = Bytes.pattern(900_000, seed: 2)
                let file = try Descriptor(mount.path + "/file", O_RDWR | O_CREAT)
                try file.writeAll(bytes)
                try file.sync()
                let server = try #require(serverProcess(directory))
                try mount.killDaemon()
                kill(server, SIGKILL)
                #expect(Polling.wait { !Mount.isRunning(server) })
                _ = try? file.close()
                try mount.mount()
                #expect(try SystemCall.readFile(mount.path + "/file") == bytes)
                try SystemCall.writeFile(mount.path + "/after", "goes on")
            }
        }

        @Test func `a server that dies is started again under the mount`() throws {
            try withMount(store: .file) { mount in
                guard case .file(let directory) = mount.store else { return }
                let bytes = Bytes.pattern(900_000, seed: 3)
                try SystemCall.writeFile(mount.path + "/before", bytes)
                let server = try #require(serverProcess(directory))
                kill(server, SIGKILL)
                try SystemCall.writeFile(mount.path + "/after", bytes)
                #expect(try SystemCall.readFile(mount.path + "/before") == bytes)
                #expect(serverProcess(directory) != server)
                try mount.remount()
                #expect(try SystemCall.readFile(mount.path + "/before") == bytes)
                #expect(try SystemCall.readFile(mount.path + "/after") == bytes)
            }
        }

        @Test func `a directory with other files in it is refused and left alone`() throws {
            let files = try TemporaryDirectory()
            try SystemCall.mkdir(files.path + "/store")
            try SystemCall.mkdir(files.path + "/mnt")
            try SystemCall.writeFile(files.path + "/store/letter", "mine")
            expectRefusal(
                try Program.run(["mount", "file:\(files.path)/store", files.path + "/mnt"]),
                status: Status.mountFailure, mentions: [files.path + "/store"])
            #expect(try Listing.names(files.path + "/store") == [".", "..", "letter"])
        }

        private func serverProcess(_ directory: String) -> pid_t? {
            FileManager.default.contents(atPath: directory + "/redis.pid")
                .map { String(decoding: $0, as: UTF8.self) }
                .flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
        }
    }
}

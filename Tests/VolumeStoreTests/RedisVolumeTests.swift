import Codecs
import KeyValue
import Testing

@testable import VolumeStore

/// The promises of this module again, kept over a real redis-server.
@Suite(.serialized) struct RedisVolumeTests {
    struct Promise: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let body: @Sendable () throws -> Void

        init(_ name: String, _ body: @escaping @Sendable () throws -> Void) {
            testDescription = name
            self.body = body
        }
    }

    @Test(arguments: promises)
    func `over Redis`(_ promise: Promise) throws {
        try TestStores.$kind.withValue(.redis) { try promise.body() }
    }

    @Test(arguments: CheckTests.damages)
    func `damage is found, mended, and gone over Redis`(_ damage: CheckTests.Damage) throws {
        try TestStores.$kind.withValue(.redis) {
            try CheckTests().`damage is found, mended, and gone`(damage)
        }
    }

    static let promises: [Promise] = [
        Promise("an orphan gets a name in lost+found, with its content") {
            try CheckTests().`an orphan gets a name in lost+found, with its content`()
        },
        Promise("what mounts do meanwhile is no damage") {
            try CheckTests().`what mounts do meanwhile is no damage`()
        },
        Promise("a new file has the fields that it was made with, and no more") {
            try CreatingTests().`a new file has the fields that it was made with, and no more`()
        },
        Promise("a new directory links its parent and raises its times") {
            try CreatingTests().`a new directory links its parent and raises its times`()
        },
        Promise("links, devices and fifos keep what they are made of") {
            try CreatingTests().`links, devices and fifos keep what they are made of`()
        },
        Promise("names are any bytes") {
            try CreatingTests().`names are any bytes`()
        },
        Promise("create, mkdir and lookup are one trip each") {
            try CreatingTests().`create, mkdir and lookup are one trip each`()
        },
        Promise("the volume counts inodes") {
            try CreatingTests().`the volume counts inodes`()
        },
        Promise("a name that is there is EEXIST, a directory that is gone ENOENT") {
            try CreatingTests().`a name that is there is EEXIST, a directory that is gone ENOENT`()
        },
        Promise("a store that went back in time does not make an inode twice") {
            try CreatingTests().`a store that went back in time does not make an inode twice`()
        },
        Promise("a batch whose answer was lost and that is sent again happens once") {
            try CreatingTests()
                .`a batch whose answer was lost and that is sent again happens once`()
        },
        Promise("batch ids are never used twice") {
            try CreatingTests().`batch ids are never used twice`()
        },
        Promise("unlink, rmdir, link and setattr are one trip each") {
            try RemovingTests().`unlink, rmdir, link and setattr are one trip each`()
        },
        Promise("removing the last name of a file is one trip, and the reaper does the rest") {
            try RemovingTests()
                .`removing the last name of a file is one trip, and the reaper does the rest`()
        },
        Promise("a name that goes leaves the others, with one link less") {
            try RemovingTests().`a name that goes leaves the others, with one link less`()
        },
        Promise("what is believed wrongly is looked at again") {
            try RemovingTests().`what is believed wrongly is looked at again`()
        },
        Promise("unlink refuses directories, rmdir everything else and full directories") {
            try RemovingTests()
                .`unlink refuses directories, rmdir everything else and full directories`()
        },
        Promise("a directory takes its link to its parent along") {
            try RemovingTests().`a directory takes its link to its parent along`()
        },
        Promise("a link to what is no more, or to a directory, is refused") {
            try RemovingTests().`a link to what is no more, or to a directory, is refused`()
        },
        Promise("a file that is open stays without names until its last close") {
            try RemovingTests().`a file that is open stays without names until its last close`()
        },
        Promise("after deleting everything the last session leaves the empty volume's keys") {
            try RemovingTests()
                .`after deleting everything the last session leaves the empty volume's keys`()
        },
        Promise("what crashed between unlink and reaping is found by the next mount") {
            try RemovingTests()
                .`what crashed between unlink and reaping is found by the next mount`()
        },
        Promise("a rename of what is known is one trip, also to another directory") {
            try RenamingTests()
                .`a rename of what is known is one trip, also to another directory`()
        },
        Promise("a directory that moves takes its link along and learns its new parent") {
            try RenamingTests()
                .`a directory that moves takes its link along and learns its new parent`()
        },
        Promise("what stood under the new name loses it") {
            try RenamingTests().`what stood under the new name loses it`()
        },
        Promise("a directory replaces an empty directory only") {
            try RenamingTests().`a directory replaces an empty directory only`()
        },
        Promise("a replaced directory's link is not counted twice across parents") {
            try RenamingTests().`a replaced directory's link is not counted twice across parents`()
        },
        Promise("flags are kept to") {
            try RenamingTests().`flags are kept to`()
        },
        Promise("two names of one inode: nothing is done") {
            try RenamingTests().`two names of one inode: nothing is done`()
        },
        Promise("a directory never comes below itself") {
            try RenamingTests().`a directory never comes below itself`()
        },
        Promise("of two opposite moves by two mounts one is refused, in whatever order they meet") {
            try RenamingTests()
                .`of two opposite moves by two mounts one is refused, in whatever order they meet`()
        },
        Promise("random moves by two mounts at once never make a cycle or lose a directory") {
            try RenamingTests()
                .`random moves by two mounts at once never make a cycle or lose a directory`()
        },
        Promise("a small file is stored and committed in one trip") {
            try StoringTests().`a small file is stored and committed in one trip`()
        },
        Promise("a hole reads as zeros") {
            try StoringTests().`a hole reads as zeros`()
        },
        Promise("a larger file costs one trip more, and its next blocks none") {
            try StoringTests().`a larger file costs one trip more, and its next blocks none`()
        },
        Promise("a file that grows block by block raises alloc mostly on the way") {
            try StoringTests().`a file that grows block by block raises alloc mostly on the way`()
        },
        Promise("a patch changes the dirty bytes and nothing else") {
            try StoringTests().`a patch changes the dirty bytes and nothing else`()
        },
        Promise("a partial change of a packed block is merged into it") {
            try StoringTests().`a partial change of a packed block is merged into it`()
        },
        Promise("blocks are counted however little was known of them") {
            try StoringTests().`blocks are counted however little was known of them`()
        },
        Promise("a commit without blocks sets times, mode and size") {
            try StoringTests().`a commit without blocks sets times, mode and size`()
        },
        Promise("a block far away is found by its chunk, and goes with the file") {
            try StoringTests().`a block far away is found by its chunk, and goes with the file`()
        },
        Promise("a hole that is punched drops its blocks") {
            try StoringTests().`a hole that is punched drops its blocks`()
        },
        Promise("a full store is ENOSPC, and removing still works") {
            try StoringTests().`a full store is ENOSPC, and removing still works`()
        },
        Promise("to nothing is one trip: other data, the old blocks are garbage") {
            try TruncatingTests().`to nothing is one trip: other data, the old blocks are garbage`()
        },
        Promise("an empty file that is emptied keeps its data id") {
            try TruncatingTests().`an empty file that is emptied keeps its data id`()
        },
        Promise("sizes at the limits") {
            try TruncatingTests().`sizes at the limits`()
        },
        Promise("a write behind a stale tail clears it first") {
            try TruncatingTests().`a write behind a stale tail clears it first`()
        },
        Promise("a mount that died while clearing is followed by another one") {
            try TruncatingTests().`a mount that died while clearing is followed by another one`()
        },
        Promise("a write that a cut overtakes is stored again behind it") {
            try TruncatingTests().`a write that a cut overtakes is stored again behind it`()
        },
        Promise("blocks of a file that another mount emptied are not left behind") {
            try TruncatingTests()
                .`blocks of a file that another mount emptied are not left behind`()
        },
        Promise("what a session stored and did not commit before it crashed never shows") {
            try TruncatingTests()
                .`what a session stored and did not commit before it crashed never shows`()
        },
        Promise("a packed block that changes before it is replaced is merged again") {
            try SharingTests().`a packed block that changes before it is replaced is merged again`()
        },
        Promise("a mount that just joined is not overwritten by one that thought to be alone") {
            try SharingTests()
                .`a mount that just joined is not overwritten by one that thought to be alone`()
        },
        Promise("a mount holds its first store back until the one that was alone knows") {
            try SharingTests()
                .`a mount holds its first store back until the one that was alone knows`()
        },
        Promise("a file that is open elsewhere outlives its last name") {
            try SharingTests().`a file that is open elsewhere outlives its last name`()
        },
        Promise("changes are heard by the other mount and not by oneself") {
            try SharingTests().`changes are heard by the other mount and not by oneself`()
        },
        Promise("a session says who it is, and is gone after close") {
            try SessionTests().`a session says who it is, and is gone after close`()
        },
        Promise("a mount is alone until another one joins, and again after that one left") {
            try SessionTests()
                .`a mount is alone until another one joins, and again after that one left`()
        },
        Promise("a mount without a subscription never counts as alone") {
            try SessionTests().`a mount without a subscription never counts as alone`()
        },
        Promise("a batch that relies on being alone does not happen when somebody joined unheard") {
            try SessionTests()
                .`a batch that relies on being alone does not happen when somebody joined unheard`()
        },
        Promise("a session whose lease is over is fenced and cleaned up after") {
            try SessionTests().`a session whose lease is over is fenced and cleaned up after`()
        },
        Promise("a session whose process is gone is not waited for") {
            try SessionTests().`a session whose process is gone is not waited for`()
        },
        Promise("a read-only mount registers nothing and changes nothing") {
            try SessionTests().`a read-only mount registers nothing and changes nothing`()
        },
        Promise("an idle mount costs less than one trip a second") {
            try SessionTests().`an idle mount costs less than one trip a second`()
        },
        Promise("an entry of another type than its inode, or without one, is EIO") {
            try DamageTests().`an entry of another type than its inode, or without one, is EIO`()
        },
        Promise("a key of another kind is EIO") {
            try DamageTests().`a key of another kind is EIO`()
        },
        Promise("a cycle of directories ends in EIO") {
            try DamageTests().`a cycle of directories ends in EIO`()
        },
        Promise("a member of the garbage list that is none stops nothing") {
            try DamageTests().`a member of the garbage list that is none stops nothing`()
        },
        Promise("extended attributes are set, replaced, listed and removed") {
            try DamageTests().`extended attributes are set, replaced, listed and removed`()
        },
        Promise("attributes are set to exact values") {
            try DamageTests().`attributes are set to exact values`()
        },
    ]
}

// Tests of the program `apusfs` on real mounts: nothing here knows a module of ApusFS.
//
//  Harness      mounting, unmounting and mounting again; nothing is left behind, however a test ends
//  SystemCalls  what each system call does, one file a call
//  Programs     what people run on a filesystem: git, tar, sqlite, make, fio
//  Integrity    random operations against a model, large files, large directories
//  CommandLine  what the commands say, and with which exit status
//  Keyspace     the keys of a server as files
//  Faults       servers, connections and daemons that go away, full memory and disks, damaged values
//
// Environment: APUSFS_BINARY (the program), APUSFS_TEST_STORE (memory, redis, file, or directory:PATH to try
// the tests themselves on another filesystem), APUSFS_TEST_SCALE=full and the numbers of `Scale`.

import Testing

/// Everything here runs one test at a time: a mount is a daemon and a server, and there are two cores.
@Suite(.serialized)
enum MountTests {}

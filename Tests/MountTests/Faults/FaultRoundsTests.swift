import Primitives
import TestSupport
import Testing

extension MountTests {
    /// Random work under each fault: what was acknowledged is there afterwards, on the same mount and after
    /// mounting again, everything can be read, `apusfs check --data` finds nothing, the daemon ends with 0.
    ///
    /// APUSFS_TEST_FAULT_ROUNDS says how often each fault happens, APUSFS_TEST_FAULTS which (names of `Fault`).
    @Suite struct FaultRoundsTests {
        @Test(arguments: Scale.faults)
        func `nothing acknowledged is lost`(fault: Fault) throws {
            let bench = try FaultBench(fault)
            defer { bench.cleanUp() }
            var operations = 0
            var failures = 0
            for number in 0..<Scale.faultRounds {
                let seed = Scale.seed &+ UInt64(number)
                let context: Comment = "\(fault.rawValue), APUSFS_TEST_SEED=\(seed)"
                let outcome: FaultOutcome
                do {
                    outcome = try bench.round(number, seed: seed)
                } catch {
                    Issue.record(error, context)
                    return
                }
                operations += outcome.operations
                failures += outcome.failures.count
                #expect(outcome.wrong == [], context)
                #expect(outcome.exitStatus == 0, context)
                if !fault.mayFail { #expect(outcome.failures == [], context) }
                for check in outcome.checks { #expect(check.status == 0, "\(context) \(check)") }
                if !outcome.wrong.isEmpty { print(bench.volume.log().suffix(4_000)) }
            }
            print(
                "faults: \(fault.rawValue): \(Scale.faultRounds) rounds, \(operations) operations,"
                    + " \(failures) failed, first seed \(Scale.seed)")
            #expect(operations > 0)
        }
    }
}

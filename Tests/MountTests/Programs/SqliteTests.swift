import TestSupport
import Testing

extension MountTests {
    @Suite struct SqliteTests {
        enum Journal: String, Sendable, CaseIterable {
            case wal, delete, truncate, persist
        }

        @Test(arguments: Journal.allCases)
        func `thousands of inserts are there and sound, also after mounting again`(
            journal: Journal
        ) throws {
            try withMount { mount in
                let database = mount.path + "/test.db"
                // Ten rows a transaction in the rollback modes, each of which writes and syncs three files.
                let rowsEach = journal == .wal ? 1 : 10
                let transactions = (0..<Scale.databaseRows / rowsEach).map { transaction in
                    let rows = (0..<rowsEach).map { row in
                        let key = transaction * rowsEach + row
                        return
                            "INSERT INTO t VALUES (\(key), hex(zeroblob(\(key % 200))), \(key * 7));"
                    }
                    return "BEGIN;" + rows.joined() + "COMMIT;"
                }
                let setup = """
                    PRAGMA journal_mode = \(journal.rawValue);
                    CREATE TABLE t (key INTEGER PRIMARY KEY, text TEXT, number INTEGER);
                    CREATE INDEX i ON t (number, text);
                    """
                try sql(database, setup + transactions.joined(separator: "\n"))
                try check(database, rows: transactions.count * rowsEach)
                try mount.remount()
                try check(database, rows: transactions.count * rowsEach)
                try sql(database, "DELETE FROM t WHERE key % 2 = 0; VACUUM;")
                try check(database, rows: transactions.count * rowsEach / 2)
            }
        }

        @Test(arguments: [Journal.wal, .delete])
        func `two processes insert at the same time and lose nothing`(journal: Journal) throws {
            try withMount { mount in
                let database = mount.path + "/shared.db"
                try sql(
                    database,
                    "PRAGMA journal_mode = \(journal.rawValue); CREATE TABLE t (who, number);")
                let script = """
                    insert() {
                        for number in $(seq 1 150); do
                            echo "INSERT INTO t VALUES ('$1', $number);"
                        done | sqlite3 -bail -cmd '.timeout 60000' "$2"
                    }
                    insert one "$1" & first=$!
                    insert two "$1" & second=$!
                    wait $first && wait $second
                    """
                try ProgramRun.run(["bash", "-c", script, "bash", database]).checked()
                let counts = "SELECT who, count(*), sum(number) FROM t GROUP BY who ORDER BY who;"
                #expect(try sql(database, counts) == "one|150|11325\ntwo|150|11325\n")
                #expect(try sql(database, "PRAGMA integrity_check;") == "ok\n")
            }
        }

        private func check(_ database: String, rows: Int) throws {
            #expect(try sql(database, "PRAGMA integrity_check;") == "ok\n")
            #expect(try sql(database, "SELECT count(*) FROM t;") == "\(rows)\n")
            #expect(
                try sql(database, "SELECT count(*) FROM t WHERE number = key * 7;") == "\(rows)\n")
        }

        @discardableResult
        private func sql(_ database: String, _ text: String) throws -> String {
            try ProgramRun.run(["sqlite3", "-bail", database], input: text).checked().output
        }
    }
}

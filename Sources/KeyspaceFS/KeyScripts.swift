import KeyValue

/// What has to happen at once at the server and is no single command. Each is sent whole (EVAL), so nothing
/// has to be loaded or is kept there but in its cache of scripts.
enum KeyScripts {
    /// Names of fields without their values. KEYS[1] a hash; ARGV: cursor, COUNT. Answer: as of HSCAN.
    static let fieldPage = Bytes(
        """
        local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
        local names = {}
        for i = 1, #page[2], 2 do names[#names + 1] = page[2][i] end
        return {page[1], names}
        """.utf8)

    /// Cuts a string, its expiry stays. KEYS[1] a string; ARGV: length. Answer: OK.
    static let cut = Bytes(
        """
        local length = tonumber(ARGV[1])
        local value = length == 0 and '' or redis.call('GETRANGE', KEYS[1], 0, length - 1)
        return redis.call('SET', KEYS[1], value, 'KEEPTTL')
        """.utf8)

    /// Appends to a string that is there. KEYS[1] a string; ARGV: bytes. Answer: its length, -1: not there.
    static let append = Bytes(
        """
        if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
        return redis.call('APPEND', KEYS[1], ARGV[1])
        """.utf8)

    /// Renames a key. What it replaces hands its expiry on, if the key has none: that is how editors save.
    ///
    /// KEYS: from, to; ARGV: '1' to replace nothing. Answer: 1, 0: `to` is there, -1: `from` is not.
    static let rename = Bytes(
        """
        if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
        if ARGV[1] == '1' then return redis.call('RENAMENX', KEYS[1], KEYS[2]) end
        local expiry = redis.call('PEXPIRETIME', KEYS[2])
        local own = redis.call('PEXPIRETIME', KEYS[1])
        redis.call('RENAME', KEYS[1], KEYS[2])
        if own < 0 and expiry >= 0 then redis.call('PEXPIREAT', KEYS[2], expiry) end
        return 1
        """.utf8)

    /// Moves a value between a string and a field of a hash, or between fields.
    ///
    /// KEYS: from, to; ARGV: 's' or 'f' and the field for each, '1' to replace nothing, most bytes.
    /// Answer: 1 moved, 0 `to` is there, -1 `from` is not, -2 it would lose its expiry, -3 too large.
    static let move = Bytes(
        """
        local fromString, toString = ARGV[1] == 's', ARGV[3] == 's'
        local value, length
        if fromString then
          if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
          if redis.call('PTTL', KEYS[1]) >= 0 then return -2 end
          length = redis.call('STRLEN', KEYS[1])
        else
          if redis.call('HEXISTS', KEYS[1], ARGV[2]) == 0 then return -1 end
          length = redis.call('HSTRLEN', KEYS[1], ARGV[2])
        end
        if length > tonumber(ARGV[6]) then return -3 end
        if not fromString and toString and KEYS[1] == KEYS[2] then
          -- The hash has to make room for the string.
          if redis.call('HLEN', KEYS[1]) > 1 then return 0 end
          redis.call('SET', KEYS[1], redis.call('HGET', KEYS[1], ARGV[2]), 'KEEPTTL')
          return 1
        end
        if ARGV[5] == '1' then
          local there = toString and redis.call('EXISTS', KEYS[2])
            or not toString and redis.call('HEXISTS', KEYS[2], ARGV[4])
          if there == 1 then return 0 end
        end
        if fromString then value = redis.call('GET', KEYS[1])
        else value = redis.call('HGET', KEYS[1], ARGV[2]) end
        if toString then redis.call('SET', KEYS[2], value, 'KEEPTTL')
        else redis.call('HSET', KEYS[2], ARGV[4], value) end
        if fromString then redis.call('DEL', KEYS[1])
        else redis.call('HDEL', KEYS[1], ARGV[2]) end
        return 1
        """.utf8)

    /// What tells a string that is neither small nor large from another one. KEYS[1] a key; ARGV: more bytes
    /// than it has to have, most bytes. Answer: SHA-1, or null for what has another length or type.
    static let digest = Bytes(
        """
        if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return false end
        local length = redis.call('STRLEN', KEYS[1])
        if length <= tonumber(ARGV[1]) or length > tonumber(ARGV[2]) then return false end
        return redis.sha1hex(redis.call('GET', KEYS[1]))
        """.utf8)

    static func call(_ script: Bytes, keys: [Bytes], _ arguments: [Bytes]) -> [Bytes] {
        [script, Bytes("\(keys.count)".utf8)] + keys + arguments
    }
}

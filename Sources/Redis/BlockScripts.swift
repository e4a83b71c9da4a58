extension Script {
    /// Changes bytes of a block if its header is still what the caller believes.
    ///
    /// KEYS[1] the block; ARGV: header for an absent block · how many bytes of it have to agree ·
    /// position in the value · payload.
    /// Answer: 1 patched, 2 made and patched, 0 conflict.
    static let patchMatching = Script(
        """
        local comparing, answer = ARGV[2] + 0, 1
        local header = redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1)
        if header == '' and redis.call('EXISTS', KEYS[1]) == 0 then
          redis.call('SET', KEYS[1], ARGV[1])
          answer = 2
        elseif string.sub(header, 1, comparing) ~= string.sub(ARGV[1], 1, comparing) then
          return 0
        end
        redis.call('SETRANGE', KEYS[1], ARGV[3], ARGV[4])
        return answer
        """)

    /// Puts a staged value in the place of a block if that still has the header the caller believes.
    /// Whatever happens, nothing is staged afterwards; the commands that stage and call this stand in one
    /// transaction. A block that holds just the staged value already is no conflict: that is how a
    /// writer whose answer was lost finds its own work.
    ///
    /// KEYS[1] the block, KEYS[2] the staged value; ARGV[1]: expected header, empty for none.
    /// Answer: 1 replaced, 2 made, 0 conflict.
    static let replaceMatching = Script(
        """
        local header = redis.pcall('GETRANGE', KEYS[1], 0, 15)
        if type(header) == 'table' then
          redis.call('UNLINK', KEYS[2])
          return header
        end
        local absent = header == '' and redis.call('EXISTS', KEYS[1]) == 0
        local answer = ARGV[1] == '' and 2 or 1
        if header == ARGV[1] and absent == (ARGV[1] == '') then
          redis.call('RENAME', KEYS[2], KEYS[1])
          return answer
        end
        if header ~= redis.call('GETRANGE', KEYS[2], 0, 15)
          or redis.call('STRLEN', KEYS[1]) ~= redis.call('STRLEN', KEYS[2])
          or redis.call('GET', KEYS[1]) ~= redis.call('GET', KEYS[2]) then answer = 0 end
        redis.call('UNLINK', KEYS[2])
        return answer
        """)
}

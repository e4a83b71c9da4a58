extension Script {
    /// Applies a batch: fence and duplicate check, conditions, checks, mutations, memory of the answer.
    ///
    /// KEYS[1]  the session's hash, or any key of the batch when it has no id (it only says which slot)
    /// ARGV     sequence (empty: no id) · field of the slot · number of conditions · number of checks ·
    ///          "1" to remember the answer, then
    ///   each condition   n · wanted · command, key, … (n counts what follows it); `wanted` is "0" or
    ///                    "1" for EXISTS and HEXISTS, the value itself for GET and HGET
    ///   each check       HLEN|ZCARD|STRLEN · key  the key is of that kind or absent
    ///                    N · key · field          the field is absent or a 64-bit number
    ///                    S · key · field · by     it is absent or within ±2^53, also afterwards
    ///                    A · key · field · first byte of the first block · bytes of a block · header ·
    ///                        how many bytes of it have to agree · payload · number of blocks · block, …
    ///                        the payload fits behind as many bytes as the field says (`BlockAppend`); when
    ///                        it does not, the answer is that of a condition behind the last one
    ///   each mutation    n · command, key, …                 run as it stands; HINCRBY adds to the answer
    ///                    4 · RAISE · key · field · number
    ///                    4 · DUE · key · milliseconds · member
    ///                    5 · PUBLISH · key · field · channel · message
    ///                    2 · APPEND · key         carries out what check A has looked at
    ///
    /// Answer: "c" and the sums, each behind a space · "f <index>" a condition failed (from 0) ·
    /// "x" fenced · "w" wrong kind · "s" came after a later batch of its slot · "m" malformed memory.
    ///
    /// The field of the slot then holds "<sequence> <answer>". A failure is remembered as well, so that a
    /// copy of the batch that arrives late does not take effect after its caller was told that it did
    /// not; that alone is not worth refusing on a full store (pcall).
    ///
    /// On a full store Redis refuses the first write of a script or none.
    static let commit = Script(
        LuaNumbers.functions + """
            local A = ARGV
            local sequence, slot, remember, i = A[1], A[2], A[5] == '1', 6
            if sequence ~= '' then
              local memory = call('HGET', KEYS[1], slot)
              if memory then
                local known, answer = match(memory, '^(%d+) (.*)$')
                if not known then return 'm' end
                if known == sequence then return answer end
                local isOld = #known > #sequence or #known == #sequence and known > sequence
                if isOld then return 's' end
              elseif call('EXISTS', KEYS[1]) == 0 then
                return 'x'
              end
            end
            local function failed(c)
              local answer = 'f ' .. c
              if remember then redis.pcall('HSET', KEYS[1], slot, sequence .. ' ' .. answer) end
              return answer
            end
            for c = 0, A[3] - 1 do
              local n = A[i] + 0
              local found = call(unpack(A, i + 2, i + n))
              if found == 1 then found = '1' elseif found == 0 then found = '0' end
              if found ~= A[i + 1] then return failed(c) end
              i = i + n + 1
            end
            local pieces, append
            for _ = 1, A[4] do
              local word = A[i]
              if word == 'A' then
                append = i
                local old = call('HGET', A[i + 1], A[i + 2])
                if not summed(old, #A[i + 7]) then return 'w' end
                local size, count = A[i + 4] + 0, #A[i + 7]
                local first, done = (old or '0') - A[i + 3], 0
                if first < 0 or first + count > size * A[i + 8] then return failed(A[3]) end
                pieces = {}
                while done < count do
                  local position = (first + done) % size
                  local block = A[i + 9 + math.floor((first + done) / size)]
                  local header = call('GETRANGE', block, 0, A[i + 6] - 1)
                  local isNew = header == '' and call('EXISTS', block) == 0
                  if not isNew and header ~= string.sub(A[i + 5], 1, A[i + 6] + 0) then
                    return failed(A[3])
                  end
                  pieces[#pieces + 1] = {block, isNew, position, done}
                  done = done + math.min(size - position, count - done)
                end
                i = i + 9 + A[i + 8]
              elseif word == 'N' or word == 'S' then
                local value = call('HGET', A[i + 1], A[i + 2])
                if word == 'N' and not raised(value, '0') then return 'w' end
                if word == 'S' and not summed(value, A[i + 3]) then return 'w' end
                i = i + (word == 'S' and 4 or 3)
              else
                call(word, A[i + 1])
                i = i + 2
              end
            end
            local answer, last = 'c', #A
            while i <= last do
              local n, word, key = A[i] + 0, A[i + 1], A[i + 2]
              if word == 'HINCRBY' then
                answer = format('%s %.0f', answer, call(word, key, A[i + 3], A[i + 4]))
              elseif word == 'PUBLISH' then
                local number = format(' %.0f', call('HINCRBY', key, A[i + 3], '1'))
                answer = answer .. number
                call(word, A[i + 4], string.sub(number, 2) .. ' ' .. A[i + 5])
              elseif word == 'APPEND' then
                local a, made = append, 0
                local header, payload = A[a + 5], A[a + 7]
                for p, piece in ipairs(pieces) do
                  local following = pieces[p + 1]
                  local bytes = string.sub(payload, piece[4] + 1, following and following[4] or -1)
                  if piece[2] then
                    made = made + 1
                    call('SET', piece[1], header .. string.rep('\\0', piece[3]) .. bytes)
                  else
                    call('SETRANGE', piece[1], #header + piece[3], bytes)
                  end
                end
                local length = call('HINCRBY', key, A[a + 2], #payload)
                answer = format('%s %.0f %.0f', answer, length, made)
              elseif word == 'RAISE' then
                call('HSET', key, A[i + 3], raised(call('HGET', key, A[i + 3]), A[i + 4]))
              elseif word == 'DUE' then
                local now = call('TIME')
                local due = now[1] * 1000 + math.floor(now[2] / 1000) + A[i + 3]
                call('ZADD', key, format('%.0f', due), A[i + 4])
              else
                call(unpack(A, i + 1, i + n))
              end
              i = i + n + 1
            end
            if remember then call('HSET', KEYS[1], slot, sequence .. ' ' .. answer) end
            return answer
            """)
}

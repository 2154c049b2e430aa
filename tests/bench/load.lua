-- Writes many values, one after the other and then again from the first, for one thread of wrk.
-- From the environment: BENCH_VALUES, BENCH_VALUE_BYTES.

local values = tonumber(os.getenv("BENCH_VALUES"))
local value = string.rep("x", tonumber(os.getenv("BENCH_VALUE_BYTES")))

local at = -1
function request()
  at = at + 1
  return wrk.format("PUT", string.format("/v1/raw/v%07d", at % values), nil, value)
end

function done(summary)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"errors":%d}\n', summary.requests,
    e.connect + e.read + e.write + e.status + e.timeout))
end

-- Requests for wrk, made before the run: sending one costs the client a table look-up.
-- From the environment: BENCH_ROW (which request), BENCH_KEYS, BENCH_VALUE_BYTES, BENCH_PORTS
-- (threads take turns on them). The result is one line of JSON after "RESULT ".

local row = os.getenv("BENCH_ROW")
local keys = tonumber(os.getenv("BENCH_KEYS"))
local value_bytes = tonumber(os.getenv("BENCH_VALUE_BYTES"))
local ports = {}
for port in string.gmatch(os.getenv("BENCH_PORTS"), "%d+") do
  ports[#ports + 1] = port
end

local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local function base64(text)
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = string.byte(text, i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    for shift = 0, 3 do
      if shift < 2 or (shift == 2 and b) or c then
        local digit = math.floor(n / 64 ^ (3 - shift)) % 64
        out[#out + 1] = string.sub(alphabet, digit + 1, digit + 1)
      else
        out[#out + 1] = "="
      end
    end
  end
  return table.concat(out)
end

local json = { ["Content-Type"] = "application/json" }
local form = { ["Content-Type"] = "application/x-www-form-urlencoded" }
local make = {
  ["cairn put"] = function(key, value)
    return wrk.format("PUT", "/v1/values/" .. key, json, '{"value":"' .. value .. '"}')
  end,
  ["cairn get"] = function(key)
    return wrk.format("GET", "/v1/values/" .. key)
  end,
  ["etcd-v3 put"] = function(key, value)
    return wrk.format("POST", "/v3/kv/put", json,
      '{"key":"' .. base64(key) .. '","value":"' .. base64(value) .. '"}')
  end,
  ["etcd-v3 get"] = function(key)
    return wrk.format("POST", "/v3/kv/range", json, '{"key":"' .. base64(key) .. '"}')
  end,
  ["etcd-v2 put"] = function(key, value)
    return wrk.format("PUT", "/v2/keys/" .. key, form, "value=" .. value)
  end,
  ["etcd-v2 get"] = function(key)
    return wrk.format("GET", "/v2/keys/" .. key .. "?quorum=true")
  end,
}

local started = 0
function setup(thread)
  thread:set("offset", math.floor(started * keys / math.max(1, #ports)))
  thread.addr = wrk.lookup("127.0.0.1", ports[started % #ports + 1])[1]
  started = started + 1
end

local ring = {}
local at = 0
function init()
  math.randomseed(42)
  local order = {}
  for i = 1, keys do
    order[i] = i
  end
  for i = keys, 2, -1 do
    local j = math.random(i)
    order[i], order[j] = order[j], order[i]
  end
  local value = string.rep("x", value_bytes)
  for i = 1, keys do
    ring[i] = make[row](string.format("bench-%06d", order[i]), value)
  end
  at = offset
end

function request()
  at = at % keys + 1
  return ring[at]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,'
      .. '"errors":{"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect, e.read, e.write, e.status, e.timeout))
end

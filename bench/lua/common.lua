-- Shared by every target's script. bench/load.py sets W (workload a..e) and SEED.
-- Each of wrk's threads runs this file: with one seed for all they would ask for the same rows at the same time.
local threads = 0
function setup(thread) threads = threads + 1; thread:set("id", threads) end
function init() math.randomseed(tonumber(os.getenv("SEED") or "1") * 1000 + id) end
JSON = { ["Content-Type"] = "application/json" }
local st = { "new", "paid", "shipped" }
function customer() return math.random(100000) end -- a: any customer
function big() return math.random(1000) end        -- b: customers with 150 orders
function cold() return math.random(1001, 100000) end -- c: new orders go to customers that b does not read
function order() return math.random(300000) end    -- d, e
function status() return st[math.random(3)] end
function total() return string.format("%d.%02d", math.random(999), math.random(0, 99)) end

function work(t) request = t[os.getenv("W")] end


function done(s, l, r)
  local e = s.errors
  io.write(string.format('JSON {"requests":%d,"us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
    s.requests, s.duration, s.bytes, e.connect, e.read, e.write, e.status, e.timeout,
    l:percentile(50), l:percentile(90), l:percentile(99), l.max))
end

-- The hand-written services: FastAPI and Go.
dofile("lua/common.lua")
work {
  a = function() return wrk.format("GET", "/customers/" .. customer()) end,
  b = function() return wrk.format("GET", "/orders?customer_id=" .. big() .. "&status=" .. status() .. "&limit=20") end,
  c = function() return wrk.format("POST", "/orders", JSON, '{"customer_id":' .. cold() .. ',"status":"' .. status() .. '","total":' .. total() .. "}") end,
  d = function() return wrk.format("PATCH", "/orders/" .. order(), JSON, '{"total":' .. total() .. "}") end,
  e = function() return wrk.format("GET", "/orders/" .. order() .. "/full") end,
}

-- The health of a WorkloadCredential, from its conditions. Uses nothing but the language and os.date: Argo CD opens no
-- library of strings for a script of argocd-cm. A field that is missing or of another type makes no error.
local function table_or_empty(value)
  if type(value) == "table" then
    return value
  end
  return {}
end

local function condition_of(conditions, wanted)
  for _, condition in ipairs(conditions) do
    if type(condition) == "table" and condition.type == wanted then
      return condition
    end
  end
  return {}
end

local function health(status, condition, otherwise)
  if type(condition.reason) ~= "string" then
    return { status = status, message = otherwise }
  end
  if type(condition.message) ~= "string" or condition.message == "" then
    return { status = status, message = condition.reason }
  end
  return { status = status, message = condition.reason .. ": " .. condition.message }
end

-- As status writes times, so that the two compare as text; nil where Argo CD gives no clock.
local function now()
  local has_os, os_library = pcall(require, "os")
  if not has_os or type(os_library) ~= "table" or type(os_library.date) ~= "function" then
    return nil
  end
  return os_library.date("!%Y-%m-%dT%H:%M:%SZ")
end

local metadata = table_or_empty(obj.metadata)
local status = table_or_empty(obj.status)
local conditions = table_or_empty(status.conditions)
local waiting = "Waiting for the operator to look at it"

-- What status says is of another spec, or nothing was looked at yet: observedGeneration is -1 then.
if status.observedGeneration == nil or status.observedGeneration ~= metadata.generation then
  return { status = "Progressing", message = waiting }
end

local ready = condition_of(conditions, "Ready")
if table_or_empty(obj.spec).suspend == true then
  return health("Suspended", ready, "spec.suspend is true")
end

-- Ready is False from the moment at which the credential in the Secret ends, whatever is still tried.
if ready.status == "False" and ready.reason == "Expired" then
  return health("Degraded", ready, "")
end

local stalled = condition_of(conditions, "Stalled")
if stalled.status == "True" then
  return health("Degraded", stalled, "Somebody has to act")
end

-- With the reason RefreshFailing, too: whoever uses the Secret has a live credential. While no operator runs, nobody turns
-- the condition at the end of that.
if ready.status == "True" then
  local ends, time = status.expirationTime, now()
  if type(ends) == "string" and time ~= nil and ends <= time then
    return { status = "Degraded", message = "Expired: the credential ended at " .. ends .. ", and no operator has told so" }
  end
  return health("Healthy", ready, "A live credential is in the Secret")
end

local reconciling = condition_of(conditions, "Reconciling")
if reconciling.status == "True" then
  return health("Progressing", reconciling, waiting)
end
return health("Progressing", ready, waiting)

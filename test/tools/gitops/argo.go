// Promises: runs a health script as Argo CD 3.5 does, in the same Lua and with the same libraries: util/lua/lua.go and
// util/lua/oslib_safe.go of https://github.com/argoproj/argo-cd at v3.5.1 (runLua, ExecuteHealthLua, OpenSafeOs, decodeValue).
// Argo CD's own package cannot be a dependency: it replaces a dozen modules, one of them by a directory. Different here:
// the time is given.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
)

// A script may take no longer.
const scriptTime = time.Second

var healthStatuses = []string{"Unknown", "Progressing", "Suspended", "Healthy", "Degraded", "Missing"}

// healthByArgo runs a script. Libraries are opened for scripts that Argo CD ships, and not for those in argocd-cm.
func healthByArgo(object *unstructured.Unstructured, script string, now time.Time, useOpenLibs bool) verdict {
	state := lua.NewState(lua.Options{SkipOpenLibs: !useOpenLibs})
	defer state.Close()
	functions := osFunctions(now)
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{
		{lua.LoadLibName, lua.OpenPackage},
		{lua.BaseLibName, lua.OpenBase},
		{lua.TabLibName, lua.OpenTable},
		{lua.OsLibName, func(state *lua.LState) int {
			// The name is that of the tables' library in Argo CD, too: a script gets at these by require("os") only.
			state.Push(state.RegisterModule(lua.TabLibName, functions))
			return 1
		}},
	} {
		call := lua.P{Fn: state.NewFunction(library.open), NRet: 0, Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return refused(err)
		}
	}
	state.PreloadModule(lua.OsLibName, func(state *lua.LState) int {
		state.Push(state.SetFuncs(state.NewTable(), functions))
		return 1
	})
	if useOpenLibs {
		// Argo CD leaves the whole library there, with the clock of the machine.
		state.SetFuncs(state.GetGlobal(lua.OsLibName).(*lua.LTable), functions)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scriptTime)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("actionParams", state.NewTable())
	state.SetGlobal("obj", decodeValue(state, object.Object))
	if err := state.DoString(script); err != nil {
		return refused(err)
	}
	return healthOf(state.Get(-1))
}

func healthOf(value lua.LValue) verdict {
	if value.Type() != lua.LTTable {
		return refused(fmt.Errorf("expect table output from Lua script, not %s", value.Type()))
	}
	text, err := luajson.Encode(value)
	if err != nil {
		return refused(err)
	}
	var told struct {
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &told); err != nil {
		return refused(err)
	}
	for _, known := range healthStatuses {
		if told.Status == known {
			return verdict{Status: told.Status, Message: told.Message}
		}
	}
	return refused(fmt.Errorf("Lua returned an invalid health status"))
}

func osFunctions(now time.Time) map[string]lua.LGFunction {
	return map[string]lua.LGFunction{
		"time": func(state *lua.LState) int {
			state.Push(lua.LNumber(now.Unix()))
			return 1
		},
		"date": func(state *lua.LState) int {
			state.Push(lua.LString(formatDate(now, state.CheckString(1))))
			return 1
		},
	}
}

// What Argo CD's safe os.date knows.
var dateFlags = map[byte]string{
	'a': "mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "02 Jan 06 15:04 MST", 'd': "02",
	'F': "2006-01-02", 'H': "15", 'I': "03", 'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'S': "05",
	'x': "15/04/05", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
}

func formatDate(now time.Time, format string) string {
	if strings.HasPrefix(format, "!") {
		now = now.UTC()
		format = strings.TrimLeft(format, "!")
	}
	var text strings.Builder
	for index := 0; index < len(format); index++ {
		if format[index] != '%' || index+1 == len(format) {
			text.WriteByte(format[index])
			continue
		}
		index++
		if layout, ok := dateFlags[format[index]]; ok {
			text.WriteString(now.Format(layout))
		} else {
			text.WriteString(format[index-1 : index+1])
		}
	}
	return text.String()
}

func decodeValue(state *lua.LState, value any) lua.LValue {
	switch converted := value.(type) {
	case bool:
		return lua.LBool(converted)
	case float64:
		return lua.LNumber(converted)
	case string:
		return lua.LString(converted)
	case int64:
		return lua.LNumber(converted)
	case []any:
		list := state.CreateTable(len(converted), 0)
		for _, item := range converted {
			list.Append(decodeValue(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(converted))
		for key, item := range converted {
			table.RawSetH(lua.LString(key), decodeValue(state, item))
		}
		return table
	}
	return lua.LNil
}

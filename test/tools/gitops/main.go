// Promises: what GitOps tools make of objects: Argo CD of its health script, run as Argo CD 3.5 runs it (argo.go), and Flux and
// kpt by kstatus, the library that Flux's kustomize-controller depends on, and by Flux's evaluator of healthCheckExprs. Reads
// one JSON document from the standard input and writes one. It speaks with nobody.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// Script is Argo CD's health.lua.
	Script string `json:"script"`
	// Now is what the script is told of the time, in seconds since the epoch; 0: the time that it is.
	Now int64 `json:"now"`
	// Expressions are Flux's healthCheckExprs; none where it is left out.
	Expressions *kustomize.HealthCheckExpressions `json:"expressions"`
	Objects     []json.RawMessage                 `json:"objects"`
}

type verdict struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
}

type verdicts struct {
	// Pasted is Argo CD's with the script in argocd-cm, Shipped with the script among those that Argo CD brings.
	Pasted  verdict  `json:"pasted"`
	Shipped verdict  `json:"shipped"`
	Kstatus verdict  `json:"kstatus"`
	Flux    *verdict `json:"flux,omitempty"`
}

func refused(err error) verdict {
	return verdict{Error: err.Error()}
}

// toldByKstatus is what `wait: true` and healthChecks of a Kustomization go by.
func toldByKstatus(object *unstructured.Unstructured) verdict {
	result, err := status.Compute(object)
	if err != nil {
		return refused(err)
	}
	return verdict{Status: string(result.Status), Message: result.Message}
}

func toldByExpressions(object *unstructured.Unstructured, expressions *kustomize.HealthCheckExpressions) verdict {
	evaluator, err := cel.NewStatusEvaluator(expressions)
	if err != nil {
		return refused(err)
	}
	result, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return refused(err)
	}
	return verdict{Status: string(result.Status), Message: result.Message}
}

func judge(asked question, text json.RawMessage) (verdicts, error) {
	object := &unstructured.Unstructured{}
	// Integers are int64 after this, as they are in the controllers.
	if err := object.UnmarshalJSON(text); err != nil {
		return verdicts{}, err
	}
	now := time.Now()
	if asked.Now != 0 {
		now = time.Unix(asked.Now, 0)
	}
	told := verdicts{
		Pasted:  healthByArgo(object, asked.Script, now, false),
		Shipped: healthByArgo(object, asked.Script, now, true),
		Kstatus: toldByKstatus(object),
	}
	if asked.Expressions != nil {
		flux := toldByExpressions(object, asked.Expressions)
		told.Flux = &flux
	}
	return told, nil
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return fmt.Errorf("the question is no JSON: %w", err)
	}
	answer := make([]verdicts, 0, len(asked.Objects))
	for index, text := range asked.Objects {
		told, err := judge(asked, text)
		if err != nil {
			return fmt.Errorf("object %d: %w", index, err)
		}
		answer = append(answer, told)
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

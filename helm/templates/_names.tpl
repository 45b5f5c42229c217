{{- define "workload-credentials.fullname" -}}
{{- .Release.Name | trunc 53 | trimSuffix "-" -}}
{{- end }}

{{- define "workload-credentials.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "workload-credentials.fullname" .) -}}
{{- end }}

{{- define "workload-credentials.selectorLabels" -}}
app.kubernetes.io/name: workload-credentials
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Of the pod of `helm test`. Not the operator's own: Service, budget and NetworkPolicy must not select it. */ -}}
{{- define "workload-credentials.testLabels" -}}
app.kubernetes.io/name: workload-credentials-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "workload-credentials.labels" -}}
{{ include "workload-credentials.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "workload-credentials.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* A Service's name has at most 63 characters; the release's is cut to 53. */ -}}
{{- define "workload-credentials.serviceName" -}}
{{- include "workload-credentials.fullname" . }}-metrics
{{- end }}

{{- define "workload-credentials.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "workload-credentials.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- /* As the API server knows the operator: whom the fences are about. */ -}}
{{- define "workload-credentials.username" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "workload-credentials.serviceAccountName" . }}
{{- end }}

{{- /* Namespaces that no token is minted in and no Secret is written in, as a JSON list: kube-system and our own always, and what is named. */ -}}
{{- define "workload-credentials.protectedNamespaces" -}}
{{- concat (list "kube-system" .Release.Namespace) .Values.fences.protectedNamespaces | uniq | sortAlpha | toJson -}}
{{- end }}

{{- /*
Audiences whose tokens the API server takes itself, as a JSON list: the usual ones always, and what is named. The operator refuses
these and those of its own token, which no template can know.
*/ -}}
{{- define "workload-credentials.apiServerAudiences" -}}
{{- concat (fromJsonArray (include "workload-credentials.usualAPIServerAudiences" .)) .Values.apiServerAudiences | uniq | toJson -}}
{{- end }}

{{- /* Not left to the operator, which a thief of its token does not run: what is listed gets into the fences. */ -}}
{{- define "workload-credentials.checkAudiences" -}}
{{- $refused := fromJsonArray (include "workload-credentials.apiServerAudiences" .) -}}
{{- range $endpoint := .Values.sts.endpoints -}}
{{- range $audience := $endpoint.audiences -}}
{{- if has $audience $refused -}}
{{- fail (printf "sts.endpoints has the audience %s for %s, which is the API server's own: with a token of it whoever runs that STS, or steals the operator's token, would be the ServiceAccount towards the API server; give the endpoint an audience of its own, such as its host's name" $audience $endpoint.url) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The scope is a choice that nobody else can make: there is no default. */ -}}
{{- define "workload-credentials.checkScope" -}}
{{- if and .Values.namespaces .Values.clusterWide -}}
{{- fail "namespaces and clusterWide are both set: keep namespaces to serve only those, or clusterWide=true to serve every namespace" -}}
{{- end -}}
{{- if not (or .Values.namespaces .Values.clusterWide) -}}
{{- fail "choose what the operator may reach: namespaces={a,b} gives it Roles in those namespaces only, clusterWide=true gives it a ClusterRole that reads and writes Secrets and mints ServiceAccount tokens in every namespace" -}}
{{- end -}}
{{- range $namespace, $names := .Values.serviceAccounts -}}
{{- if not (has $namespace $.Values.namespaces) -}}
{{- fail (printf "serviceAccounts names %s, which is not in namespaces: it narrows a namespace that is served by a Role of its own, so add it to namespaces or take it out (a ClusterRole, by clusterWide=true, cannot be narrowed by namespace)" $namespace) -}}
{{- end -}}
{{- end -}}
{{- if .Values.fences.enabled -}}
{{- range $namespace := .Values.namespaces -}}
{{- if has $namespace (list "kube-system" $.Release.Namespace) -}}
{{- fail (printf "namespaces has %s, which the fences always protect: take it out, and install the operator into another namespace than those it serves" $namespace) -}}
{{- end -}}
{{- if has $namespace $.Values.fences.protectedNamespaces -}}
{{- fail (printf "namespaces has %s, which the fences protect: take it out, or take it out of fences.protectedNamespaces" $namespace) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

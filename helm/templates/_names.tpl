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

{{- /* The scope is a choice that nobody else can make: there is no default. */ -}}
{{- define "workload-credentials.checkScope" -}}
{{- if and .Values.namespaces .Values.clusterWide -}}
{{- fail "namespaces and clusterWide are both set: keep namespaces to serve only those, or clusterWide=true to serve every namespace" -}}
{{- end -}}
{{- if not (or .Values.namespaces .Values.clusterWide) -}}
{{- fail "choose what the operator may reach: namespaces={a,b} gives it Roles in those namespaces only, clusterWide=true gives it a ClusterRole that reads and writes Secrets and mints ServiceAccount tokens in every namespace" -}}
{{- end -}}
{{- end }}

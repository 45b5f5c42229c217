{{- /* Generated from tools/rbac-rules.ts, src/providers/endpoints.ts and src/options.ts by `npm run generate`. Do not edit. */ -}}
{{- define "workload-credentials.watchedRules" -}}
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials"]
  verbs: ["get", "list", "watch"]
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials/status"]
  verbs: ["patch"]
- apiGroups: [""]
  resources: ["serviceaccounts"]
  verbs: ["get", "list", "watch"]
- apiGroups: [""]
  resources: ["serviceaccounts/token"]
  {{- with .serviceAccounts }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: ["create"]
- apiGroups: [""]
  resources: ["secrets"]
  verbs: ["get", "list", "watch", "create", "patch", "delete"]
- apiGroups: ["events.k8s.io"]
  resources: ["events"]
  verbs: ["create", "patch"]
{{- end }}
{{- define "workload-credentials.ownRules" -}}
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  verbs: ["create"]
- apiGroups: ["coordination.k8s.io"]
  resources: ["leases"]
  resourceNames: [{{ .Values.leaderElection.leaseName | quote }}]
  verbs: ["get", "update"]
{{- end }}
{{- define "workload-credentials.viewRules" -}}
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials"]
  verbs: ["get", "list", "watch"]
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials/status"]
  verbs: ["get"]
{{- end }}
{{- define "workload-credentials.editRules" -}}
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials"]
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete"]
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials/status"]
  verbs: ["get"]
{{- end }}
{{- define "workload-credentials.adminRules" -}}
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials"]
  verbs: ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
- apiGroups: ["workloadcredentials.io"]
  resources: ["workloadcredentials/status"]
  verbs: ["get"]
{{- end }}
{{- define "workload-credentials.ownAudiences" -}}
["sts.amazonaws.com","sts.amazonaws.com.cn","sts.aliyuncs.com","sts.volcengine.com","sts.volcengineapi.com"]
{{- end }}
{{- define "workload-credentials.usualAPIServerAudiences" -}}
["https://kubernetes.default.svc","https://kubernetes.default.svc.cluster.local"]
{{- end }}

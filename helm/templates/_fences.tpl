{{- /* What all fences have in common: one policy and its binding. Included with root, fence, rules, variables, validations. */ -}}
{{- define "workload-credentials.fence" -}}
{{- $name := printf "%s-%s.%s" (include "workload-credentials.fullname" .root) .fence .root.Release.Namespace }}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {{ $name }}
  labels:
    {{- include "workload-credentials.labels" .root | nindent 4 }}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      {{- .rules | nindent 6 }}
  # Nobody else is held up: for every other user this is one comparison.
  matchConditions:
    - name: is-the-operator
      expression: request.userInfo.username == {{ include "workload-credentials.username" .root | toJson }}
  {{- with .variables }}
  variables:
    {{- . | nindent 4 }}
  {{- end }}
  validations:
    {{- .validations | nindent 4 }}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ $name }}
  labels:
    {{- include "workload-credentials.labels" .root | nindent 4 }}
spec:
  policyName: {{ $name }}
  # Audit: the refusal is an annotation in the API server's audit log, too.
  validationActions: [Deny, Audit]
{{- end }}

{{- /* The audiences that a token may have: the clouds' own, and those of the listed endpoints. A JSON list. */ -}}
{{- define "workload-credentials.audiences" -}}
{{- $audiences := fromJsonArray (include "workload-credentials.ownAudiences" .) }}
{{- range .Values.sts.endpoints }}
{{- $audiences = concat $audiences .audiences }}
{{- end }}
{{- $audiences | uniq | toJson -}}
{{- end }}

{{- define "workload-credentials.tokenRules" -}}
- apiGroups: ['']
  apiVersions: ['*']
  operations: [CREATE]
  resources: [serviceaccounts/token]
{{- end }}

{{- define "workload-credentials.tokenValidations" -}}
- expression: "!(request.namespace in {{ include "workload-credentials.protectedNamespaces" . | replace "\"" "'" }})"
  reason: Forbidden
  message: The operator mints no token in this namespace; it is kube-system, the operator's own, or one of the chart's fences.protectedNamespaces
# An empty list never arrives: the API server has put its own audiences there before. Whatever the list further below says.
- expression: |-
    !object.spec.audiences.exists(a, a in {{ include "workload-credentials.apiServerAudiences" . }})
  reason: Forbidden
  message: The operator mints no token for an audience of the API server's own
- expression: |-
    size(object.spec.audiences) == 1 && object.spec.audiences[0] in {{ include "workload-credentials.audiences" . }}
  reason: Forbidden
  message: The operator mints tokens for one audience only, that of a cloud's STS or of an endpoint in the chart's sts.endpoints
- expression: object.spec.?expirationSeconds.orValue(3600) <= 600
  reason: Forbidden
  message: The operator mints tokens of at most 600 seconds
# The API server writes the field out as null.
- expression: object.spec.?boundObjectRef.orValue(null) == null
  reason: Forbidden
  message: The operator mints tokens that are bound to no object
{{- end }}

{{- define "workload-credentials.secretRules" -}}
- apiGroups: ['']
  apiVersions: ['*']
  operations: [CREATE, UPDATE, DELETE]
  resources: [secrets]
{{- end }}

{{- /*
Whose a Secret is, before and after the write, by the same signs as the operator's own (src/credential/ownership.ts): a controller
reference to a WorkloadCredential, or the annotation owner-uid where there is no controller; handed over: its owner's adopt.
*/ -}}
{{- define "workload-credentials.secretVariables" -}}
- name: before
  expression: "oldObject == null ? {} : oldObject.metadata"
- name: after
  expression: "object == null ? {} : object.metadata"
- name: oldLabels
  expression: "variables.before.?labels.orValue({})"
- name: newLabels
  expression: "variables.after.?labels.orValue({})"
- name: oldNotes
  expression: "variables.before.?annotations.orValue({})"
- name: newNotes
  expression: "variables.after.?annotations.orValue({})"
- name: oldOwners
  expression: "variables.before.?ownerReferences.orValue([])"
- name: newOwners
  expression: "variables.after.?ownerReferences.orValue([])"
- name: oldControllers
  expression: variables.oldOwners.filter(o, o.?controller.orValue(false))
- name: newControllers
  expression: variables.newOwners.filter(o, o.?controller.orValue(false))
- name: wasOurs
  expression: |-
    size(variables.oldControllers) > 0
      ? variables.oldControllers.all(o, o.kind == 'WorkloadCredential' && o.apiVersion.startsWith('workloadcredentials.io/'))
      : 'workloadcredentials.io/owner-uid' in variables.oldNotes && !('workloadcredentials.io/adopter-uid' in variables.oldNotes)
- name: wasHandedOver
  expression: |-
    !variables.wasOurs && size(variables.oldControllers) == 0 && 'workloadcredentials.io/adopt' in variables.oldNotes
      && ('workloadcredentials.io/name' in variables.oldLabels
        ? variables.oldLabels['workloadcredentials.io/name'] == variables.oldNotes['workloadcredentials.io/adopt']
        : 'workloadcredentials.io/adopter-uid' in variables.oldNotes)
- name: isOurs
  expression: |-
    'workloadcredentials.io/name' in variables.newLabels && 'workloadcredentials.io/owner-uid' in variables.newNotes
      && !('workloadcredentials.io/adopter-uid' in variables.newNotes)
      && variables.newControllers.all(o, o.kind == 'WorkloadCredential' && o.apiVersion.startsWith('workloadcredentials.io/'))
      && variables.newOwners.all(o, o in variables.oldOwners || (o.?controller.orValue(false) && o.name == variables.newLabels['workloadcredentials.io/name']))
- name: isHandedOver
  expression: |-
    'workloadcredentials.io/name' in variables.newLabels && 'workloadcredentials.io/adopter-uid' in variables.newNotes
      && !('workloadcredentials.io/owner-uid' in variables.newNotes)
      && 'workloadcredentials.io/adopt' in variables.newNotes
      && variables.newNotes['workloadcredentials.io/adopt'] == variables.newLabels['workloadcredentials.io/name']
      && variables.newOwners.all(o, o in variables.oldOwners)
{{- end }}

{{- define "workload-credentials.secretValidations" -}}
{{- $domains := .Values.allowedMetadataDomains | toJson }}
- expression: "!(request.namespace in {{ include "workload-credentials.protectedNamespaces" . | replace "\"" "'" }})"
  reason: Forbidden
  message: The operator writes no Secret in this namespace; it is kube-system, the operator's own, or one of the chart's fences.protectedNamespaces
- expression: request.operation == 'DELETE' || object.type == 'Opaque'
  reason: Forbidden
  message: The operator writes Secrets of type Opaque only
- expression: request.operation != 'CREATE' || variables.isOurs
  reason: Forbidden
  message: The operator creates Secrets of WorkloadCredentials only, with the label and the owner that say so
- expression: request.operation != 'UPDATE' || variables.wasOurs || variables.wasHandedOver
  reason: Forbidden
  message: This Secret belongs to no WorkloadCredential and its owner has not handed it over, so the operator may not write it
- expression: request.operation != 'UPDATE' || !variables.wasOurs || variables.isOurs
  reason: Forbidden
  message: A Secret of a WorkloadCredential has to stay one, with the label and the owner that say so
- expression: request.operation != 'UPDATE' || !variables.wasHandedOver || variables.isHandedOver
  reason: Forbidden
  message: A Secret that was handed over stays its owner's, with the owner's consent and owner references as they are
- expression: |-
    request.operation != 'UPDATE' || (object.type == oldObject.type
      && object.?immutable.orValue(false) == oldObject.?immutable.orValue(false)
      && variables.newNotes[?'workloadcredentials.io/adopt'] == variables.oldNotes[?'workloadcredentials.io/adopt'])
  reason: Forbidden
  message: The operator changes neither a Secret's type, nor whether it is immutable, nor its owner's consent
- expression: request.operation == 'DELETE' || variables.after.?finalizers.orValue([]) == variables.before.?finalizers.orValue([])
  reason: Forbidden
  message: The operator sets no finalizers on Secrets
# As spec.secret.labels and spec.secret.annotations: a key can turn a Secret into the input of another controller.
- expression: |-
    request.operation == 'DELETE' || variables.newLabels.all(k,
      k in ['workloadcredentials.io/name', 'velero.io/exclude-from-backup']
      || (k in variables.oldLabels && variables.oldLabels[k] == variables.newLabels[k])
      || (k.contains('/') ? k.split('/')[0] in {{ $domains }}
        : !(k.lowerAscii() == 'owner' && variables.newLabels[k].lowerAscii() in ['helm', 'tiller'])))
  reason: Forbidden
  message: The operator sets labels of its own, without a domain, or of the chart's allowedMetadataDomains only
- expression: |-
    request.operation == 'DELETE' || variables.newNotes.all(k,
      k.startsWith('workloadcredentials.io/') || k == 'reloader.stakater.com/ignore'
      || (k in variables.oldNotes && variables.oldNotes[k] == variables.newNotes[k])
      || !k.contains('/') || k.split('/')[0] in {{ $domains }})
  reason: Forbidden
  message: The operator sets annotations of its own, without a domain, or of the chart's allowedMetadataDomains only
# A collection's delete has no name.
- expression: |-
    request.operation != 'DELETE' || (request.name != '' && variables.wasOurs
      && oldObject.?immutable.orValue(false) && !('workloadcredentials.io/adopt' in variables.oldNotes))
  reason: Forbidden
  message: The operator deletes only a Secret of a WorkloadCredential that somebody has made immutable, and one at a time
{{- end }}

{{- define "workload-credentials.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  apiVersions: ['*']
  operations: [CREATE, UPDATE, DELETE]
  resources: [leases]
{{- end }}

{{- define "workload-credentials.leaseValidations" -}}
- expression: |-
    request.operation != 'DELETE' && request.namespace == {{ .Release.Namespace | toJson }} && object.metadata.name == {{ .Values.leaderElection.leaseName | toJson }}
  reason: Forbidden
  message: The operator writes one Lease only, that of its own leader election
{{- end }}

{{- /* Events of the core group are converted to these (matchPolicy Equivalent, the default). */ -}}
{{- define "workload-credentials.eventRules" -}}
- apiGroups: [events.k8s.io]
  apiVersions: ['v1']
  operations: [CREATE, UPDATE, DELETE]
  resources: [events]
{{- end }}

{{- define "workload-credentials.eventValidations" -}}
- expression: |-
    request.operation != 'DELETE' && [object, oldObject].all(o, o == null
      || (o.?reportingController.orValue('') == 'workloadcredentials.io/operator'
        && o.?regarding.?kind.orValue('') == 'WorkloadCredential'
        && o.?regarding.?apiVersion.orValue('').startsWith('workloadcredentials.io/')
        && o.?regarding.?namespace.orValue('') == request.namespace))
  reason: Forbidden
  message: The operator writes Events about WorkloadCredentials of the Event's namespace, in its own name, and deletes none
{{- end }}

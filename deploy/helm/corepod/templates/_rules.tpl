{{/* Permissions of the operator. Each rule is present only if its feature is enabled. The admission policy
     (_admission.tpl) limits what the verbs that write may change. */}}

{{/* For the whole cluster, whichever namespaces the operator manages: all pods share the cores of the nodes. */}}
{{- define "corepod.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes, pods]
  verbs: [list, watch]
{{- end }}

{{/* What the operator reads of the namespaces whose workloads it manages. */}}
{{- define "corepod.readRules" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch]
{{- end }}

{{/* What it writes there. */}}
{{- define "corepod.writeRules" -}}
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  {{- with .Values.operator.workloads }}
  resourceNames: {{ toJson . }}
  {{- end }}
  verbs: [patch]
{{- if .Values.operator.hpaBounds }}
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [patch]
{{- end }}
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.operator.publishRestarts }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{/* For the Lease. RBAC can't restrict the verb create to a name; the admission policy does. */}}
{{- define "corepod.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "corepod.leaseName" . }}]
  verbs: [get, list, watch, update]
{{- /* The owner of the Lease. In its own namespace the operator may list all Deployments anyway: a name would add nothing
there, and kustomize couldn't make it follow a prefix. */}}
- apiGroups: [apps]
  resources: [deployments]
  {{- if .Values.operator.allNamespaces }}
  resourceNames: [{{ include "corepod.operatorName" . }}]
  {{- end }}
  verbs: [get]
{{- end }}

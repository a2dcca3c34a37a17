{{/* What the operator may do, each rule only where it is switched on. */}}

{{/* Of the whole cluster, whatever it looks after: all pods share the nodes' cores. */}}
{{- define "corepod.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes, pods]
  verbs: [list, watch]
{{- end }}

{{/* Where it looks after workloads. */}}
{{- define "corepod.sizingRules" -}}
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [resourcequotas]
  verbs: [list, watch]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list, watch{{ if .Values.operator.hpaBounds }}, patch{{ end }}]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.operator.publishRestarts }}
- apiGroups: [""]
  resources: [pods]
  verbs: [get, patch]
{{- end }}
{{- end }}

{{/* Of the Lease. To create can't be bound to a name. */}}
{{- define "corepod.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "corepod.leaseName" . }}]
  verbs: [get, list, watch, update]
- apiGroups: [apps]
  resources: [deployments]
  resourceNames: [{{ include "corepod.operatorName" . }}]
  verbs: [get]
{{- end }}

{{/* Permissions of the operator, each only if its feature is enabled. */}}

{{/* Cluster-wide even for one namespace, because all pods share the cores of the nodes. */}}
{{- define "corepod.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes, pods]
  verbs: [list, watch]
{{- end }}

{{/* In the namespaces whose workloads it manages. */}}
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

{{/* For the Lease. Permission to create can't be limited to a name. */}}
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

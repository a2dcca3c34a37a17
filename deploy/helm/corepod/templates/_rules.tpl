{{/* Permissions of the operator. Each rule is present only if its feature is enabled. */}}

{{/* For the whole cluster, whichever namespaces the operator manages: all pods share the cores of the nodes. */}}
{{- define "corepod.clusterRules" -}}
- apiGroups: [""]
  resources: [nodes, pods]
  verbs: [list, watch]
{{- end }}

{{/* For the namespaces whose workloads the operator manages. */}}
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

{{/* For the Lease. The verb create can't be restricted to a name. */}}
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

{{/*
The value of `spec.replicas`; empty if the field is to be left out.

The chart owns the number of pods if `replicas` is a number and there is neither an operator nor an autoscaler. Otherwise
the chart leaves the field out. It can't do that once it has set the field: Helm removes a field that its last manifest
had, and a Deployment without it has 1 pod. So the annotation corepod.dev/replicas-by records that the chart has set the
field, and from then on the chart writes the number that it finds in the cluster.
*/}}
{{- define "corepod.replicas" -}}
{{- $live := lookup "apps/v1" "Deployment" (include "corepod.namespace" .) (include "corepod.fullname" .) | default dict }}
{{- if not (or (include "corepod.scaled" .) (kindIs "invalid" .Values.replicas)) }}
{{- int .Values.replicas }}
{{- else if eq (dig "metadata" "annotations" "corepod.dev/replicas-by" "" $live) "chart" }}
{{- max (int $live.spec.replicas) (include "corepod.scaled" . | int) }}
{{- end }}
{{- end }}

{{/* The smallest number of pods that the operator or the autoscaler may set; empty without them. */}}
{{- define "corepod.scaled" -}}
{{- if .Values.autoscaling.enabled }}{{ max 1 (int .Values.autoscaling.minReplicas) }}
{{- else if include "corepod.sized" . }}{{ max 1 (dig "min" 1 .Values.operator.sizing | int) }}
{{- end }}
{{- end }}

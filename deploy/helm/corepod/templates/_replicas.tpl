{{/*
Who owns the number of pods: the chart where `replicas` is a number and nothing scales by itself, else whoever scales.

The chart then leaves `spec.replicas` out. It can't do that once it has set it: Helm takes a field away that its last
manifest had, and a Deployment without it has 1 pod. So the annotation corepod.dev/replicas-by remembers that the chart
has set it, and from then on it is written as it is at that moment. Renders to nothing where it is to be left out.
*/}}
{{- define "corepod.replicas" -}}
{{- $live := lookup "apps/v1" "Deployment" .Release.Namespace (include "corepod.fullname" .) | default dict }}
{{- if not (or (include "corepod.scaled" .) (kindIs "invalid" .Values.replicas)) }}
{{- int .Values.replicas }}
{{- else if eq (dig "metadata" "annotations" "corepod.dev/replicas-by" "" $live) "chart" }}
{{- max (int $live.spec.replicas) (include "corepod.scaled" . | int) }}
{{- end }}
{{- end }}

{{/* The least number of pods of what scales by itself, nothing where nothing does. */}}
{{- define "corepod.scaled" -}}
{{- if .Values.autoscaling.enabled }}{{ max 1 (int .Values.autoscaling.minReplicas) }}
{{- else if include "corepod.sized" . }}{{ max 1 (dig "min" 1 .Values.operator.sizing | int) }}
{{- end }}
{{- end }}

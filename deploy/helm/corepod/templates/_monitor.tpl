{{/* What Prometheus scrapes: ServiceMonitors or PodMonitors of the Prometheus operator, or annotations of the pods. */}}

{{/*
A ServiceMonitor or a PodMonitor; nothing if neither is enabled. Both give series the same label `service`, by which the
alerts select them. Arguments: root, name, labels (YAML), component (of the Service), selector (of the pods, YAML), service
(its name), port, and params (optional).
*/}}
{{- define "corepod.monitor" -}}
{{- $values := .root.Values.serviceMonitor }}
{{- $pods := eq .root.Values.podMonitor.enabled true }}
{{- if or $pods $values.enabled }}
apiVersion: monitoring.coreos.com/v1
kind: {{ $pods | ternary "PodMonitor" "ServiceMonitor" }}
metadata:
  name: {{ .name }}
  namespace: {{ include "corepod.namespace" .root | quote }}
  {{- include "corepod.annotations" (list .root) }}
  labels:
    {{- .labels | nindent 4 }}
    {{- with $values.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- if $pods }}
      {{- .selector | nindent 6 }}
      {{- else }}
      app.kubernetes.io/name: {{ include "corepod.name" .root | quote }}
      app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
      app.kubernetes.io/component: {{ .component }}
      {{- end }}
  {{ $pods | ternary "podMetricsEndpoints" "endpoints" }}:
    - port: {{ .port }}
      path: /metrics
      {{- with .params }}
      params:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      interval: {{ $values.interval }}
      {{- with $values.scrapeTimeout }}
      scrapeTimeout: {{ . }}
      {{- end }}
      {{- if or $pods $values.relabelings }}
      relabelings:
        {{- if $pods }}
        - targetLabel: service
          replacement: {{ .service }}
        {{- end }}
        {{- with $values.relabelings }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      {{- with $values.metricRelabelings }}
      metricRelabelings:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}
{{- end }}

{{/* Annotations by which a Prometheus without its operator finds pods. Argument: (dict "root" $ "port" number). */}}
{{- define "corepod.scrapeAnnotations" -}}
{{- if .root.Values.scrapeAnnotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ .port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* Seconds of a duration such as 15s or 1m. */}}
{{- define "corepod.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1 "m" 60 "h" 3600 }}
{{- mulf (regexFind "^[0-9]+" . | float64) (get $units (regexFind "[a-z]+$" .)) }}
{{- end }}

{{- define "corepod.monitorFaults" -}}
{{- $faults := list }}
{{- with .Values.serviceMonitor }}
{{- if and .enabled $.Values.podMonitor.enabled }}
{{- $faults = append $faults "serviceMonitor.enabled and podMonitor.enabled are both set: each pod would be scraped twice; choose one" }}
{{- end }}
{{- if .scrapeTimeout }}
{{- if gt (include "corepod.seconds" .scrapeTimeout | float64) (include "corepod.seconds" .interval | float64) }}
{{- $faults = append $faults (printf "serviceMonitor.scrapeTimeout is %s, longer than serviceMonitor.interval, %s: Prometheus refuses that" .scrapeTimeout .interval) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

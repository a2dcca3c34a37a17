{{/* Names and labels. */}}

{{- define "corepod.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, followed by the chart's name unless it contains it. 52 characters leave room for suffixes. */}}
{{- define "corepod.fullname" -}}
{{- $name := .Values.fullnameOverride }}
{{- if not $name }}
{{- $chart := include "corepod.name" . }}
{{- $name = contains $chart .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $chart) }}
{{- end }}
{{- $name | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* The selector of the workers' pods. It can't be changed after the installation. */}}
{{- define "corepod.selector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: worker
{{- end }}

{{/* The namespace of every object. */}}
{{- define "corepod.namespace" -}}
{{ .Values.namespaceOverride | default .Release.Namespace }}
{{- end }}

{{/*
The annotations of an object, as lines of its metadata: commonAnnotations and its own ones, which take precedence. Argument:
(list $ OWN), or (list $).
*/}}
{{- define "corepod.annotations" -}}
{{- $own := rest . | first | default dict }}
{{- with merge (dict) $own ((first .).Values.commonAnnotations | default dict) }}
{{- printf "\n  annotations:%s" (toYaml . | nindent 4) }}
{{- end }}
{{- end }}

{{/* Labels that the values add to every object and every pod. No selector has them, so they can change. */}}
{{- define "corepod.commonLabels" -}}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of every object, without the component. */}}
{{- define "corepod.labels" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ include "corepod.version" . | quote }}
app.kubernetes.io/part-of: corepod
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- include "corepod.commonLabels" . }}
{{- end }}

{{- define "corepod.workerLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: worker
{{- end }}

{{/* The operator's objects. */}}
{{- define "corepod.operatorName" -}}
{{ include "corepod.fullname" . }}-operator
{{- end }}

{{/* The namespaces that the operator manages besides its own. */}}
{{- define "corepod.otherNamespaces" -}}
{{ without (.Values.operator.namespaces | default list) (include "corepod.namespace" .) | toJson }}
{{- end }}

{{/* The name of the Lease, the same for all releases whose operators manage the same workloads. */}}
{{- define "corepod.leaseName" -}}
corepod-operator{{ if .Values.operator.allNamespaces }}-all{{ end }}
{{- end }}

{{- define "corepod.operatorSelector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "corepod.operatorLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: operator
{{- end }}

{{/* Whether an operator owns the number of pods: if the values say so, or if they name no other owner. */}}
{{- define "corepod.sized" -}}
{{- $free := not (or .Values.autoscaling.enabled (not (kindIs "invalid" .Values.replicas))) }}
{{- if kindIs "invalid" .Values.operator.enabled | ternary $free .Values.operator.enabled }}true{{ end }}
{{- end }}

{{/* Whether that operator belongs to this release. With 0 replicas it belongs to another one. */}}
{{- define "corepod.runsOperator" -}}
{{- if and (include "corepod.sized" .) (int .Values.operator.replicas) }}true{{ end }}
{{- end }}

{{/* Whether pods report deaths of workers to that operator. */}}
{{- define "corepod.publishes" -}}
{{- if and (include "corepod.runsOperator" .) .Values.operator.publishRestarts }}true{{ end }}
{{- end }}

{{/* Labels of the pods: no chart version, so that a new chart alone replaces no pod. */}}
{{- define "corepod.podLabels" -}}
{{ include "corepod.selector" . }}
app.kubernetes.io/version: {{ include "corepod.version" . | quote }}
app.kubernetes.io/part-of: corepod
{{- include "corepod.commonLabels" . }}
{{- if and (include "corepod.sized" .) .Values.operator.publishRestarts }}
corepod.dev/worker-restarts: {{ eq .Values.operator.restartLabel "off" | ternary "off" "0" | quote }}
{{- end }}
{{- end }}

{{- define "corepod.serviceAccountName" -}}
{{ .Values.serviceAccount.name | default (.Values.serviceAccount.create | ternary (include "corepod.fullname" .) "default") }}
{{- end }}

{{- define "corepod.scheme" -}}
{{ empty .Values.settings.tls_cert | ternary "http" "https" }}
{{- end }}

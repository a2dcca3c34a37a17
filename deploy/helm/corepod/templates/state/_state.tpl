{{/* The state that all pods share: where it is, and the Valkey of this release. */}}

{{- define "corepod.valkeyName" -}}
{{ include "corepod.fullname" . }}-valkey
{{- end }}

{{- define "corepod.valkeySelector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: valkey
{{- end }}

{{- define "corepod.valkeyLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: valkey
{{- end }}

{{- define "corepod.valkeyImage" -}}
{{ include "corepod.imageOf" (list . .Values.state.valkey.image) }}
{{- end }}

{{- define "corepod.valkeySecret" -}}
{{ .Values.state.valkey.secret.name | default (include "corepod.valkeyName" .) }}
{{- end }}

{{/* Variables that tell a worker where the shared state is. The URL itself is in no manifest, because of its password. */}}
{{- define "corepod.stateEnv" -}}
{{- with .Values.state }}
{{- if .valkey.enabled }}
- name: COREPOD_STATE_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ include "corepod.valkeySecret" $ | quote }}
      key: {{ .valkey.secret.key | quote }}
- name: COREPOD_SHARED
  value: redis://:$(COREPOD_STATE_PASSWORD)@{{ include "corepod.valkeyName" $ }}:6379/0
{{- else if .existing.secret }}
- name: COREPOD_SHARED
  valueFrom:
    secretKeyRef:
      name: {{ .existing.secret | quote }}
      key: {{ .existing.key | quote }}
{{- end }}
{{- if and (include "corepod.shares" $) (not (hasKey $.Values.settings "shared_prefix")) }}
- name: COREPOD_SHARED_PREFIX
  value: {{ printf "%s/%s:" (include "corepod.namespace" $) (include "corepod.fullname" $) | quote }}
{{- end }}
{{- if .required }}
- name: COREPOD_SHARED_REQUIRED
  value: "true"
{{- end }}
{{- end }}
{{- end }}

{{/* Whether all pods share their state. */}}
{{- define "corepod.shares" -}}
{{- if or .Values.state.valkey.enabled .Values.state.existing.secret }}true{{ end }}
{{- end }}

{{/* Whether there may be several pods, each of which has a state of its own. */}}
{{- define "corepod.separate" -}}
{{- $one := and (not (or .Values.autoscaling.enabled (include "corepod.sized" .) (kindIs "invalid" .Values.replicas))) (le (int .Values.replicas) 1) }}
{{- if not (or $one (include "corepod.shares" .)) }}true{{ end }}
{{- end }}

{{/* Bytes of Valkey's memory limit. */}}
{{- define "corepod.valkeyMemory" -}}
{{- (include "corepod.valkeyResources" . | fromYaml).limits.memory | include "corepod.amount" | float64 | int64 }}
{{- end }}

{{/*
What Valkey's data may use of its memory limit. The rest is for its buffers and, with persistence, for the copy that a
rewrite of its log makes of the pages that are written to meanwhile.
*/}}
{{- define "corepod.valkeyMost" -}}
{{- divf (mulf (include "corepod.valkeyMemory" . | float64) (.Values.state.valkey.persistence.enabled | ternary 2 3)) 4 | int64 }}
{{- end }}

{{- define "corepod.stateFaults" -}}
{{- $faults := list }}
{{- with .Values.state }}
{{- if and .valkey.enabled .existing.secret }}
{{- $faults = append $faults "state.valkey.enabled and state.existing.secret are both set: use the Valkey of this release or the existing server, not both" }}
{{- end }}
{{- if and .required (not (include "corepod.shares" $)) }}
{{- $faults = append $faults "state.required is set, but there is no server that could be unreachable: set state.valkey.enabled or state.existing.secret" }}
{{- end }}
{{- if and .existing.caSecret (not .existing.secret) }}
{{- $faults = append $faults "state.existing.caSecret is set, but state.existing.secret, which has the URL, isn't" }}
{{- end }}
{{- if and .valkey.enabled (lt (include "corepod.valkeyMemory" $ | int64) 33554432) }}
{{- $limit := (include "corepod.valkeyResources" $ | fromYaml).limits.memory }}
{{- $faults = append $faults (printf "state.valkey.memory is %v: Valkey needs at least 32Mi" $limit) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

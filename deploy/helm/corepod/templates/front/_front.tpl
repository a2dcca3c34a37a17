{{/* The front: names, numbers that follow from other values, and parts that several objects share. */}}

{{- define "corepod.frontName" -}}
{{ include "corepod.fullname" . }}-front
{{- end }}

{{/* Shortened where the suffix would make it longer than the 63 characters of a Service's name. */}}
{{- define "corepod.frontAdminName" -}}
{{ include "corepod.fullname" . | trunc 51 | trimSuffix "-" }}-front-admin
{{- end }}

{{- define "corepod.frontSelector" -}}
app.kubernetes.io/name: {{ include "corepod.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: front
{{- end }}

{{/* The version is that of HAProxy, which is what runs there. */}}
{{- define "corepod.frontLabels" -}}
{{ include "corepod.labels" . }}
app.kubernetes.io/component: front
{{- end }}

{{- define "corepod.frontImage" -}}
{{ include "corepod.imageOf" (list . .Values.front.image) }}
{{- end }}

{{/* The largest number of pods that these values allow; empty if they name none. */}}
{{- define "corepod.mostPods" -}}
{{- if .Values.autoscaling.enabled }}{{ int .Values.autoscaling.maxReplicas }}
{{- else if include "corepod.sized" . }}{{ with .Values.operator.sizing.max }}{{ int . }}{{ end }}
{{- else if not (kindIs "invalid" .Values.replicas) }}{{ int .Values.replicas }}
{{- end }}
{{- end }}

{{/*
Servers that the front has room for: pods that a rollout adds have a place, too, and so do pods that still drain, as many
again. With the default strategy that is half as many again.
*/}}
{{- define "corepod.front.places" -}}
{{- if kindIs "invalid" .Values.front.places }}
{{- $most := include "corepod.mostPods" . | default 1 | int }}
{{- $added := include "corepod.surge" (list . $most) | float64 | mulf 2 | ceil | int }}
{{- max 50 (div (add (mul 3 $most) 1) 2) (add $most (min $most $added)) }}
{{- else }}{{ int .Values.front.places }}
{{- end }}
{{- end }}

{{/*
haproxy.cfg, with the values in it. Each check of a pod is a connection: above 200 pods two a second would cost the front
more than the requests do.
*/}}
{{- define "corepod.frontConfiguration" -}}
{{- $pods := include "corepod.mostPods" . | default (include "corepod.front.places" .) | int }}
{{- $interval := kindIs "invalid" .Values.front.checkInterval | ternary (gt $pods 200 | ternary 2 0.5) .Values.front.checkInterval }}
{{- $front := merge (dict "checkInterval" $interval) .Values.front }}
{{- $values := merge (dict "front" $front) .Values }}
{{- tpl (.Files.Get "files/haproxy.cfg") (merge (dict "Values" $values) .) | trim }}
{{- end }}

{{/* The variable in which the kubelet puts the address of the application's Service. */}}
{{- define "corepod.serviceVariable" -}}
{{ include "corepod.fullname" . | upper | replace "-" "_" }}_SERVICE_HOST
{{- end }}

{{/* Whether requests of others can reach the pods only through the front, so that the pods may believe what it reports. */}}
{{- define "corepod.trustsFront" -}}
{{- if and .Values.front.enabled .Values.networkPolicy.enabled (not (hasKey .Values.settings "trusted_proxies")) }}true{{ end }}
{{- end }}

{{/* The Service that clients are meant to use. */}}
{{- define "corepod.entryName" -}}
{{ .Values.front.enabled | ternary (include "corepod.frontName" .) (include "corepod.fullname" .) }}
{{- end }}

{{- define "corepod.entryPort" -}}
{{ .Values.front.enabled | ternary .Values.front.service.port .Values.service.port | int }}
{{- end }}

{{- define "corepod.entryURL" -}}
{{ include "corepod.scheme" . }}://{{ include "corepod.entryName" . }}:{{ include "corepod.entryPort" . }}
{{- end }}

{{/* The front's entry in the NetworkPolicy of the pods. */}}
{{- define "corepod.frontPeer" -}}
- podSelector:
    matchLabels:
      {{- include "corepod.frontSelector" . | nindent 6 }}
{{- end }}

{{/* What files/haproxy.cfg reads from the environment. */}}
{{- define "corepod.frontEnv" -}}
# Pods that the cluster has found ready. HAProxy uses an address that is new to it before the first check has failed, and
# a pod has one before anything listens there.
- name: PODS
  value: {{ printf "%s-headless.%s.svc.%s" (include "corepod.fullname" .) (include "corepod.namespace" .) .Values.front.clusterDomain }}
# By the kubelet. If it doesn't know the Service yet, HAProxy refuses the address, and the container starts again with it.
- name: SERVICE_IP
  value: $({{ include "corepod.serviceVariable" . }})
- name: SERVICE_PORT
  value: {{ int .Values.service.port | quote }}
{{- if .Values.front.sticky.cookie }}
# The same in every front and after every upgrade, or clients would lose their pods. It is no secret: with it a client could
# at most choose a pod whose address it knows.
- name: COOKIE_KEY
  value: {{ printf "%s/%s" (include "corepod.namespace" .) (include "corepod.fullname" .) | sha256sum | trunc 32 }}
{{- end }}
{{- end }}

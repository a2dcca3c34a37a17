{{/* Parts of pods. */}}

{{/* Variables of the worker. Defaults are left out: a variable would take precedence over a corepod.toml in the image. */}}
{{- define "corepod.ownEnv" -}}
{{- with .Values.app }}
{{- if .module }}
- name: COREPOD_APP
  value: {{ .module | quote }}
{{- end }}
{{- if .factory }}
- name: COREPOD_FACTORY
  value: "true"
{{- end }}
{{- if ne .interface "auto" }}
- name: COREPOD_INTERFACE
  value: {{ .interface }}
{{- end }}
{{- end }}
- name: COREPOD_WORKERS
  value: {{ int .Values.cpu.slots | quote }}
{{- range $name, $value := .Values.settings }}
- name: COREPOD_{{ upper $name }}
  value: {{ include "corepod.text" $value | quote }}
{{- end }}
{{- if and (include "corepod.publishes" .) (not (hasKey .Values.settings "notify")) }}
- name: COREPOD_NOTIFY
  value: {{ include "corepod.operatorName" . }}:9001
{{- end }}
{{- include "corepod.stateEnv" . }}
{{- if include "corepod.trustsFront" . }}
- name: COREPOD_TRUSTED_PROXIES
  value: {{ prepend (.Values.front.trustedProxies | default list) "peer" | join "," | quote }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- end }}

{{/* The value of a setting as text for a variable. Helm reads numbers as floats and would print 16777216 as 1.6777216e+07. An empty variable would mean the default. */}}
{{- define "corepod.text" -}}
{{- if kindIs "slice" . }}{{ join "," . | default "none" }}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}
{{- else }}{{ . }}
{{- end }}
{{- end }}

{{/* The security contexts that Pod Security "restricted" requires from a pod and from a container. */}}
{{- define "corepod.podSecurity" -}}
runAsNonRoot: true
seccompProfile:
  type: RuntimeDefault
{{- with .Values.podSecurityContext }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "corepod.containerSecurity" -}}
{{- $own := .Values.containerSecurityContext | default dict }}
{{- $found := dict "allowPrivilegeEscalation" false "readOnlyRootFilesystem" .Values.readOnlyRootFilesystem }}
{{- range $name, $value := $own }}
{{- $_ := set $found $name $value }}
{{- end }}
{{- $_ := set $found "capabilities" (merge (dict) ($own.capabilities | default dict) (dict "drop" (list "ALL"))) }}
{{- toYaml $found }}
{{- end }}

{{- define "corepod.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
{{ toYaml .times }}
{{- end }}

{{/* Seconds that a pod has to stop: the program's own time plus a margin for the kubelet. */}}
{{- define "corepod.grace" -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds -}}
{{ add 5 (include "corepod.hookTime" .) (ceil (include "corepod.stopTimeout" . | float64)) }}
{{- else -}}
{{ int64 .Values.terminationGracePeriodSeconds }}
{{- end }}
{{- end }}

{{/* Seconds that a preStop hook sleeps, which Kubernetes takes from the same time. What a command takes isn't known. */}}
{{- define "corepod.hookTime" -}}
{{ dig "preStop" "sleep" "seconds" 0 (.Values.lifecycle | default dict) | int64 }}
{{- end }}

{{- define "corepod.lameDuck" -}}
{{ dig "lame_duck" 5 .Values.settings }}
{{- end }}

{{- define "corepod.stopTimeout" -}}
{{ .Values.settings.stop_timeout | default 25 }}
{{- end }}

{{/* Fields of the workers' pods that are values by the same name. */}}
{{- define "corepod.podFields" -}}
{{- $fields := dict
  "priorityClassName" .Values.priorityClassName "runtimeClassName" .Values.runtimeClassName
  "schedulerName" .Values.schedulerName "hostAliases" .Values.hostAliases "dnsPolicy" .Values.dnsPolicy
  "dnsConfig" .Values.dnsConfig "shareProcessNamespace" .Values.shareProcessNamespace
}}
{{- range $name, $value := $fields }}
{{- with $value }}
{{ toYaml (dict $name .) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "corepod.tolerations" -}}
{{- if not (kindIs "invalid" .Values.nodeLossSeconds) }}
{{- range list "not-ready" "unreachable" }}
- key: node.kubernetes.io/{{ . }}
  operator: Exists
  effect: NoExecute
  tolerationSeconds: {{ int $.Values.nodeLossSeconds }}
{{- end }}
{{- end }}
{{- with .Values.tolerations }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Requests and limits of containers: the values `resources` together with the chart's own numbers. */}}

{{/* A quantity such as 250m or 1Gi as a number. */}}
{{- define "corepod.amount" -}}
{{- $text := include "corepod.text" . }}
{{- $units := dict "m" 0.001 "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18
  "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 "Pi" 1125899906842624 "Ei" 1152921504606846976 }}
{{- mulf (regexFind "^[0-9.]+" $text | float64) (get $units (regexFind "[A-Za-z]*$" $text)) | printf "%.3f" }}
{{- end }}

{{/*
Requests and limits as a map of texts. Argument: (list OWN REQUESTS LIMITS), the values `resources` and the chart's own
numbers. What OWN names takes precedence. It may name one of request and limit only, which would contradict the chart's
number for the other one: a request never exceeds its limit, so that number then follows.
*/}}
{{- define "corepod.resourcesOf" -}}
{{- $own := index . 0 }}
{{- $mine := dict "requests" ($own.requests | default dict) "limits" ($own.limits | default dict) }}
{{- $found := dict "requests" (merge (dict) $mine.requests (index . 1)) "limits" (merge (dict) $mine.limits (index . 2)) }}
{{- range $name, $request := $found.requests }}
{{- if hasKey $found.limits $name }}
{{- $limit := get $found.limits $name }}
{{- if gt (include "corepod.amount" $request | float64) (include "corepod.amount" $limit | float64) }}
{{- if not (hasKey $mine.requests $name) }}
{{- $_ := set $found.requests $name $limit }}
{{- else if not (hasKey $mine.limits $name) }}
{{- $_ := set $found.limits $name $request }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $side, $amounts := $found }}
{{- with $amounts }}
{{ $side }}:
  {{- range $name, $amount := . }}
  {{ $name }}: {{ include "corepod.text" $amount | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- with $own.claims }}
claims:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The worker's. With the preset exclusive, a number that `resources` names once counts as request and as limit. */}}
{{- define "corepod.resources" -}}
{{- $own := .Values.resources }}
{{- $requests := dict "memory" .Values.memory.request }}
{{- $limits := dict }}
{{- if eq .Values.cpu.preset "exclusive" }}
{{- $_ := set $requests "cpu" (int .Values.cpu.slots) }}
{{- $both := pick (merge (dict) ($own.limits | default dict) ($own.requests | default dict) $requests) "cpu" "memory" }}
{{- $requests = $both }}
{{- $limits = $both }}
{{- else }}
{{- $_ := set $requests "cpu" (.Values.cpu.request | default (printf "%dm" (mul 250 (int .Values.cpu.slots)))) }}
{{- $_ = set $limits "memory" (.Values.memory.limit | default .Values.memory.request) }}
{{- end }}
{{- include "corepod.resourcesOf" (list $own $requests $limits) }}
{{- end }}

{{/* Those of the other pods, whose values have a short form: a CPU request and no limit, memory with a limit. */}}
{{- define "corepod.operatorResources" -}}
{{- with .Values.operator }}
{{- include "corepod.resourcesOf" (list .resources (dict "cpu" .cpu "memory" .memory) (dict "memory" .memory)) }}
{{- end }}
{{- end }}

{{- define "corepod.frontResources" -}}
{{- with .Values.front }}
{{- include "corepod.resourcesOf" (list .resources (dict "cpu" .cpu "memory" .memory.request) (dict "memory" .memory.limit)) }}
{{- end }}
{{- end }}

{{- define "corepod.valkeyResources" -}}
{{- with .Values.state.valkey }}
{{- include "corepod.resourcesOf" (list .resources (dict "cpu" .cpu "memory" .memory) (dict "memory" .memory)) }}
{{- end }}
{{- end }}

{{- define "corepod.loadtestResources" -}}
{{- with .Values.loadtest }}
{{- include "corepod.resourcesOf" (list .resources (dict "cpu" .cpu "memory" .memory) (dict "memory" .memory)) }}
{{- end }}
{{- end }}

{{- define "corepod.testResources" -}}
{{- include "corepod.resourcesOf" (list .Values.tests.resources (dict) (dict)) }}
{{- end }}

{{- define "corepod.resourceFaults" -}}
{{- $faults := include "corepod.workerResourceFaults" . | fromJsonArray }}
{{- $own := dict "operator.resources" "operator" "front.resources" "front" "state.valkey.resources" "valkey" "loadtest.resources" "loadtest" "tests.resources" "test" }}
{{- range $path, $name := $own }}
{{- $resources := include (printf "corepod.%sResources" $name) $ | fromYaml }}
{{- $faults = concat $faults (include "corepod.limitFaults" (list $path $resources) | fromJsonArray) }}
{{- if include "corepod.takesCore" $resources }}
{{- $faults = append $faults (printf "%s asks for whole cores, with limits equal to the requests, so that a static CPU manager would give this pod cores of its own, which the workers then lack: ask for a fraction, such as 500m" $path) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Requests above their limits, which the API server refuses. Argument: (list PATH RESOURCES). */}}
{{- define "corepod.limitFaults" -}}
{{- $path := first . }}
{{- $faults := list }}
{{- $limits := (last .).limits | default dict }}
{{- range $name, $request := (last .).requests }}
{{- if hasKey $limits $name }}
{{- if gt (include "corepod.amount" $request | float64) (get $limits $name | include "corepod.amount" | float64) }}
{{- $faults = append $faults (printf "%s.requests.%s is %s, above %s.limits.%s, %s" $path $name $request $path $name (get $limits $name)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Whether a container with these resources would be Guaranteed, with whole cores. */}}
{{- define "corepod.takesCore" -}}
{{- $limits := .limits | default dict }}
{{- $requests := merge (dict) (.requests | default dict) $limits }}
{{- if and (hasKey $limits "cpu") (hasKey $limits "memory") }}
{{- $cpu := include "corepod.amount" $limits.cpu | float64 }}
{{- $same := eq $cpu (include "corepod.amount" $requests.cpu | float64) }}
{{- $same = and $same (eq (include "corepod.amount" $limits.memory) (include "corepod.amount" $requests.memory)) }}
{{- if and $same (gt $cpu 0.0) (eq (floor $cpu) $cpu) }}true{{ end }}
{{- end }}
{{- end }}

{{- define "corepod.workerResourceFaults" -}}
{{- $resources := include "corepod.resources" . | fromYaml }}
{{- $faults := include "corepod.limitFaults" (list "resources" $resources) | fromJsonArray }}
{{- if eq .Values.cpu.preset "exclusive" }}
{{- $slots := int .Values.cpu.slots }}
{{- range list $resources.requests.cpu $resources.limits.cpu | uniq }}
{{- if ne (include "corepod.amount" . | float64) (float64 $slots) }}
{{- $faults = append $faults (printf "resources asks for %s of CPU, but cpu.slots is %d, and with the preset exclusive each worker has a whole core: set cpu.slots to the number of cores, or cpu.preset to shared" . $slots) }}
{{- end }}
{{- end }}
{{- if ne (include "corepod.amount" $resources.requests.memory) (include "corepod.amount" $resources.limits.memory) }}
{{- $faults = append $faults (printf "resources.requests.memory is %s and resources.limits.memory %s, but a pod gets exclusive cores only if both are equal: leave one of them out, or set cpu.preset to shared" $resources.requests.memory $resources.limits.memory) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* The short forms, both of which are written down: neither gives way, as a default does to a number of `resources`. */}}
{{- define "corepod.memoryFaults" -}}
{{- $faults := list }}
{{- if and (eq .Values.cpu.preset "shared") .Values.memory.limit }}
{{- if lt (include "corepod.amount" .Values.memory.limit | float64) (include "corepod.amount" .Values.memory.request | float64) }}
{{- $faults = append $faults (printf "memory.limit is %v, less than memory.request, %v" .Values.memory.limit .Values.memory.request) }}
{{- end }}
{{- end }}
{{- if .Values.front.enabled }}
{{- with .Values.front.memory }}
{{- if lt (include "corepod.amount" .limit | float64) (include "corepod.amount" .request | float64) }}
{{- $faults = append $faults (printf "front.memory.limit is %v, less than front.memory.request, %v" .limit .request) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

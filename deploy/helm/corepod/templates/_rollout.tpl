{{/* How a Deployment replaces its pods. */}}

{{/*
The worker's strategy. Where there is room for one additional pod only, the others of maxSurge wait for it, and the rollout
goes on one by one. In a full cluster no additional pod would ever start.
*/}}
{{- define "corepod.strategy" -}}
{{- $own := dig "rollingUpdate" dict (.Values.strategy | default dict) }}
{{- $surge := hasKey $own "maxSurge" | ternary $own.maxSurge (.Values.full | ternary 0 "25%") }}
{{- $still := has (toString $surge) (list "0" "0%") }}
{{- $unavailable := hasKey $own "maxUnavailable" | ternary $own.maxUnavailable (or .Values.full $still | ternary "10%" 0) }}
{{- $type := dig "type" "" (.Values.strategy | default dict) | default "RollingUpdate" }}
type: {{ $type }}
{{- if eq $type "RollingUpdate" }}
rollingUpdate:
  maxSurge: {{ include "corepod.text" $surge }}
  maxUnavailable: {{ include "corepod.text" $unavailable }}
{{- end }}
{{- end }}

{{/* How many pods a rollout adds to this number of pods, a fraction where it is a percentage. Argument: (list $ NUMBER). */}}
{{- define "corepod.surge" -}}
{{- $most := last . | float64 }}
{{- $surge := dig "rollingUpdate" "maxSurge" "0" (include "corepod.strategy" (first .) | fromYaml) | toString }}
{{- if hasSuffix "%" $surge }}{{ divf (mulf $most (trimSuffix "%" $surge | float64)) 100 }}{{ else }}{{ $surge }}{{ end }}
{{- end }}

{{- define "corepod.revisionHistoryLimit" -}}
{{- if not (kindIs "invalid" .Values.revisionHistoryLimit) }}
revisionHistoryLimit: {{ int .Values.revisionHistoryLimit }}
{{- end }}
{{- end }}

{{- define "corepod.rolloutFaults" -}}
{{- $faults := list }}
{{- $strategy := include "corepod.strategy" . | fromYaml }}
{{- with $strategy.rollingUpdate }}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) }}
{{- $faults = append $faults "strategy.rollingUpdate lets a rollout neither add a pod (maxSurge 0) nor remove one (maxUnavailable 0): raise one of them" }}
{{- end }}
{{- end }}
{{- if and (eq $strategy.type "Recreate") (dig "rollingUpdate" dict (.Values.strategy | default dict)) }}
{{- $faults = append $faults "strategy.type is Recreate, which has no strategy.rollingUpdate: leave it out" }}
{{- end }}
{{- $deadline := .Values.progressDeadlineSeconds | default 600 | int }}
{{- if le $deadline (int .Values.minReadySeconds) }}
{{- $faults = append $faults (printf "progressDeadlineSeconds is %d, but has to be above minReadySeconds, %d" $deadline (int .Values.minReadySeconds)) }}
{{- end }}
{{- toJson $faults }}
{{- end }}

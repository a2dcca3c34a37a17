{{/* Images and the Secrets that they are pulled with. */}}

{{/*
The reference of an image. Argument: (list $ IMAGE), where IMAGE has repository, tag and digest. The chart's appVersion is
the tag of images that name none. global.imageRegistry takes the place of the registry that the repository names.
*/}}
{{- define "corepod.imageOf" -}}
{{- $root := first . }}
{{- $image := last . }}
{{- $repository := $image.repository }}
{{- with dig "imageRegistry" "" ($root.Values.global | default dict) }}
{{- $host := splitList "/" $repository | first }}
{{- if and (contains "/" $repository) (or (contains "." $host) (contains ":" $host) (eq $host "localhost")) }}
{{- $repository = trimPrefix (printf "%s/" $host) $repository }}
{{- end }}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}
{{- end }}
{{- if $image.digest }}{{ $repository }}@{{ $image.digest }}{{ else }}{{ $repository }}:{{ include "corepod.tagOf" . }}{{ end }}
{{- end }}

{{/* The tag of an image as text. `--set image.tag=1` is a number, and 0 is a tag, too. Argument as above. */}}
{{- define "corepod.tagOf" -}}
{{- $tag := (last .).tag }}
{{- if kindIs "invalid" $tag }}{{ $tag = "" }}{{ end }}
{{- include "corepod.text" $tag | default (first .).Chart.AppVersion }}
{{- end }}

{{- define "corepod.image" -}}
{{ include "corepod.imageOf" (list . .Values.image) }}
{{- end }}

{{- define "corepod.operatorImage" -}}
{{ include "corepod.imageOf" (list . .Values.operator.image) }}
{{- end }}

{{/* The image's tag as the value of a label. */}}
{{- define "corepod.version" -}}
{{ include "corepod.tagOf" (list . .Values.image) | trunc 63 | trimAll "-._" }}
{{- end }}

{{/* Pull Secrets of every pod, by name or as objects, each once. */}}
{{- define "corepod.pullSecrets" -}}
{{- $names := list }}
{{- range concat (dig "imagePullSecrets" list (.Values.global | default dict) | default list) (.Values.image.pullSecrets | default list) }}
{{- if kindIs "map" . }}
{{- $names = append $names .name }}
{{- else }}
{{- $names = append $names . }}
{{- end }}
{{- end }}
{{- with $names | uniq }}
imagePullSecrets:
  {{- range . }}
  - name: {{ quote . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "corepod.imageFaults" -}}
{{- $faults := list }}
{{- $images := dict "image" .Values.image "operator.image" .Values.operator.image "front.image" .Values.front.image }}
{{- $_ := set $images "state.valkey.image" .Values.state.valkey.image }}
{{- $_ = set $images "loadtest.image" .Values.loadtest.image }}
{{- range $name, $image := $images }}
{{- if and (kindIs "float64" $image.tag) (ne (floor $image.tag) $image.tag) }}
{{- $faults = append $faults (printf "%s.tag is the number %v, and a number has lost the zeros at its end (1.10 is 1.1): write the tag in quotes, or use --set-string" $name $image.tag) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

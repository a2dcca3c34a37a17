{{/* What the operator reads on the worker's Deployment. A number as text: Helm reads it as a float. */}}
{{- define "corepod.sizing" -}}
{{- if include "corepod.sized" . }}
{{- if .Values.full }}
corepod.dev/full: "true"
{{- end }}
{{- range $name, $value := .Values.operator.sizing }}
{{- if not (kindIs "invalid" $value) }}
corepod.dev/{{ $name }}: {{ include "corepod.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

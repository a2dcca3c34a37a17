{{/* Annotations for the operator on the worker's Deployment. Numbers are printed as integers: Helm reads them as floats. */}}
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

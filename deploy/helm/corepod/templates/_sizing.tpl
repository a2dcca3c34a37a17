{{/* Annotations for the operator on the worker's Deployment. Numbers are printed as integers: Helm reads them as floats.
     A name may be written as values usually are (autoscaledNodes). */}}
{{- define "corepod.sizing" -}}
{{- if include "corepod.sized" . }}
{{- if .Values.full }}
corepod.dev/full: "true"
{{- end }}
{{- range $name, $value := .Values.operator.sizing }}
{{- if not (kindIs "invalid" $value) }}
corepod.dev/{{ kebabcase $name }}: {{ include "corepod.text" $value | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The specification of a Service for clients, without its selector. Argument: the values `service` or `front.service`. */}}
{{- define "corepod.serviceSpec" -}}
type: {{ .type }}
ports:
  - name: http
    port: {{ int .port }}
    targetPort: http
    appProtocol: {{ .appProtocol | default "http" }}
    {{- with .nodePort }}
    nodePort: {{ int . }}
    {{- end }}
{{- with .trafficDistribution }}
trafficDistribution: {{ . }}
{{- end }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- with .sessionAffinity }}
sessionAffinity: {{ . }}
{{- if eq . "ClientIP" }}
sessionAffinityConfig:
  clientIP:
    timeoutSeconds: {{ int $.sessionAffinityTimeout }}
{{- end }}
{{- end }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Names, labels and sizes that the API server would refuse, because of what else the chart makes. */}}

{{/* Names of objects are names of Services, too: a DNS label that begins with a letter. */}}
{{- define "corepod.nameFaults" -}}
{{- $faults := list }}
{{- $name := include "corepod.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) }}
{{- $faults = append $faults (printf "the objects would be called %q, but names of Services consist of lower-case letters, digits and dashes, and begin with a letter: set fullnameOverride" $name) }}
{{- end }}
{{- if has $name (list "null" "true" "false" "yes" "no" "on" "off" "y" "n") }}
{{- $faults = append $faults (printf "the objects would be called %s, which YAML reads as something else than a name: set fullnameOverride" $name) }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Labels that two values, or a value and the chart, would set. A manifest may have each of them once. */}}
{{- define "corepod.labelFaults" -}}
{{- $faults := list }}
{{- $own := merge (include "corepod.workerLabels" . | fromYaml) (include "corepod.podLabels" . | fromYaml) }}
{{- range $label, $_ := .Values.commonLabels }}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|version|part-of|managed-by|component)|helm[.]sh/chart|corepod[.]dev/.*)$" $label }}
{{- $faults = append $faults (printf "commonLabels has %s, which the chart sets by itself" $label) }}
{{- end }}
{{- end }}
{{- range $name, $labels := dict "podLabels" .Values.podLabels "service.labels" .Values.service.labels "front.service.labels" .Values.front.service.labels "serviceMonitor.labels" .Values.serviceMonitor.labels "prometheusRule.labels" .Values.prometheusRule.labels }}
{{- range $label, $_ := $labels }}
{{- if hasKey ($.Values.commonLabels | default dict) $label }}
{{- $faults = append $faults (printf "commonLabels and %s both have %s: leave it in one of them" $name $label) }}
{{- else if hasKey $own $label }}
{{- $faults = append $faults (printf "%s has %s, which the chart sets: objects find each other by its labels; leave it out, or use nameOverride" $name $label) }}
{{- end }}
{{- end }}
{{- end }}
{{- $own := include "corepod.sizing" . | fromYaml }}
{{- range $name, $_ := .Values.deploymentAnnotations }}
{{- if or (hasKey $own $name) (eq $name "corepod.dev/replicas-by") }}
{{- $faults = append $faults (printf "deploymentAnnotations has %s, which the chart sets: use operator.sizing or full" $name) }}
{{- end }}
{{- end }}
{{- toJson $faults }}
{{- end }}

{{/* Names that are taken in the pod. */}}
{{- define "corepod.collisionFaults" -}}
{{- $faults := list }}
{{- $volumes := list "tmp" }}
{{- $paths := list "/tmp" }}
{{- if .Values.state.existing.caSecret }}
{{- $volumes = append $volumes "state-ca" }}
{{- $paths = append $paths "/etc/corepod/state" }}
{{- end }}
{{- range .Values.extraVolumes }}
{{- if has .name $volumes }}
{{- $faults = append $faults (printf "extraVolumes has %s, a name that is taken: by the chart, or by another one of extraVolumes%s" .name (eq .name "tmp" | ternary "; tmpSize sets the size of /tmp" "")) }}
{{- end }}
{{- $volumes = append $volumes .name }}
{{- end }}
{{- range .Values.extraVolumeMounts }}
{{- if not (has .name $volumes) }}
{{- $faults = append $faults (printf "extraVolumeMounts has %s, which isn't in extraVolumes" .name) }}
{{- end }}
{{- if has .mountPath $paths }}
{{- $faults = append $faults (printf "extraVolumeMounts: something else is mounted at %s" .mountPath) }}
{{- end }}
{{- $paths = append $paths .mountPath }}
{{- end }}
{{- $containers := list "worker" }}
{{- range concat (.Values.initContainers | default list) (.Values.extraContainers | default list) }}
{{- if has .name $containers }}
{{- $faults = append $faults (printf "the name of the container %s is taken: by the worker, or by another one of initContainers and extraContainers" .name) }}
{{- end }}
{{- $containers = append $containers .name }}
{{- end }}
{{- $spread := list }}
{{- range .Values.topologySpread }}
{{- $pair := printf "%s (%s)" .topologyKey .whenUnsatisfiable }}
{{- if has $pair $spread }}
{{- $faults = append $faults (printf "topologySpread has %s twice" $pair) }}
{{- end }}
{{- if and .minDomains (ne .whenUnsatisfiable "DoNotSchedule") }}
{{- $faults = append $faults (printf "topologySpread: minDomains of %s needs whenUnsatisfiable: DoNotSchedule" .topologyKey) }}
{{- end }}
{{- $spread = append $spread $pair }}
{{- end }}
{{- toJson $faults }}
{{- end }}

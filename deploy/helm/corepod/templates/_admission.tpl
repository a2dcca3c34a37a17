{{/* What the operator's account may write, whatever its roles allow. Nobody else's requests are judged. */}}

{{- define "corepod.policyName" -}}
{{ include "corepod.namespace" . }}-{{ include "corepod.operatorName" . }}
{{- end }}

{{/* Namespace and name stand alone between quotes, so that kustomize can replace them in its copy. */}}
{{- define "corepod.policyConditions" -}}
- name: is-the-operator
  expression: >-
    request.userInfo.username == 'system:serviceaccount:' + '{{ include "corepod.namespace" . }}' + ':' + '{{ include "corepod.operatorName" . }}'
{{- end }}

{{/* The writes that exist, and what each of them may change in the object itself. */}}
{{- define "corepod.policySpec" -}}
failurePolicy: Fail
matchConstraints:
  resourceRules:
    - apiGroups: ["*"]
      apiVersions: ["*"]
      operations: ["*"]
      resources: ["*/*"]
matchConditions:
  {{- include "corepod.policyConditions" . | nindent 2 }}
variables:
  - name: write
    expression: >-
      request.operation + ' ' + request.resource.group + '/' + request.resource.resource
      + (has(request.subResource) && request.subResource != '' ? '/' + request.subResource : '')
  # The API server itself changes these with each write.
  - name: bookkeeping
    expression: >-
      ['managedFields', 'resourceVersion', 'generation']
  - name: metadata
    expression: >-
      variables.bookkeeping + (variables.write == 'UPDATE /pods' ? ['labels', 'annotations'] : [])
  - name: metadataKept
    expression: >-
      dyn(object.metadata).all(k, k in variables.metadata
      || k in oldObject.metadata && dyn(object.metadata)[k] == dyn(oldObject.metadata)[k])
      && dyn(oldObject.metadata).all(k, k in variables.metadata || k in object.metadata)
  - name: marksBefore
    expression: >-
      ['labels', 'annotations'].map(field, field in oldObject.metadata ? dyn(oldObject.metadata)[field] : {})
  - name: marksAfter
    expression: >-
      ['labels', 'annotations'].map(field, field in object.metadata ? dyn(object.metadata)[field] : {})
validations:
  - expression: >-
      variables.write in ['UPDATE /pods', 'UPDATE apps/deployments/scale', 'UPDATE apps/statefulsets/scale',
      'UPDATE autoscaling/horizontalpodautoscalers', 'CREATE /events', 'CREATE coordination.k8s.io/leases',
      'UPDATE coordination.k8s.io/leases']
    reason: Forbidden
    messageExpression: >-
      "corepod's operator never does this: " + variables.write
  {{- if .Values.operator.allNamespaces }}
  - expression: >-
      !request.namespace.startsWith('kube-') || request.namespace == '{{ include "corepod.namespace" . }}'
    reason: Forbidden
    message: corepod's operator writes nothing in the namespaces of Kubernetes itself
  {{- end }}
  - expression: >-
      variables.write != 'UPDATE /pods'
      || variables.marksBefore.exists(marks, marks.exists(k, k.startsWith('corepod.dev/')))
    reason: Forbidden
    message: corepod's operator changes only pods that have a label or annotation of corepod.dev/ already
  - expression: >-
      variables.write != 'UPDATE /pods' || object.spec == oldObject.spec && variables.metadataKept
      && [0, 1].all(i, variables.marksAfter[i].all(k, k.startsWith('corepod.dev/')
      || k in variables.marksBefore[i] && variables.marksAfter[i][k] == variables.marksBefore[i][k])
      && variables.marksBefore[i].all(k, k.startsWith('corepod.dev/') || k in variables.marksAfter[i]))
    reason: Forbidden
    message: corepod's operator changes only labels and annotations of corepod.dev/ in a pod
  - expression: >-
      !variables.write.endsWith('/scale') || has(object.spec.replicas) && object.spec.replicas >= 1
    reason: Forbidden
    message: corepod's operator never scales a workload to 0
  - expression: >-
      variables.write != 'UPDATE autoscaling/horizontalpodautoscalers' || variables.metadataKept
      && object.spec.scaleTargetRef.kind in ['Deployment', 'StatefulSet']
      && dyn(object.spec).all(k, k in ['minReplicas', 'maxReplicas']
      || k in oldObject.spec && dyn(object.spec)[k] == dyn(oldObject.spec)[k])
      && dyn(oldObject.spec).all(k, k in object.spec)
    reason: Forbidden
    message: corepod's operator changes only minReplicas and maxReplicas of a Deployment's or StatefulSet's autoscaler
  - expression: >-
      variables.write != 'CREATE /events' || has(object.reportingComponent)
      && object.reportingComponent == 'corepod-operator' && has(object.source.component)
      && object.source.component == 'corepod-operator'
    reason: Forbidden
    message: corepod's operator writes Events only in its own name
  - expression: >-
      !variables.write.endsWith(' coordination.k8s.io/leases')
      || object.metadata.name == '{{ include "corepod.leaseName" . }}'
    reason: Forbidden
    message: corepod's operator has one Lease, {{ include "corepod.leaseName" . }}
{{- end }}

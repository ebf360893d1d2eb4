"""Actions over HTTP that people define: a definition says everything, an agent fills parameters.

There is no free address and no code in a definition. `definition` says what one may hold,
`soundness` what must fit together in it, `templating` how parameters get into a request, `classing`
what an answer means, and `action` is what the product then calls. (docs/http.md)
"""

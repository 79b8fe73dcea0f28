# Measures the engines against their peers in one run.
$project = [IO.Path]::Combine($root, 'bench', 'X86Virt.Bench')
if (-not [IO.Directory]::Exists($project)) { throw "There is no benchmark project in '$project'." }
Invoke-DotNet run -c Release --project $project

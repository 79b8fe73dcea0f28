# Measures the engines against the host and their peers in one run: tables on the console, an object a measurement in the pipeline.
$project = [IO.Path]::Combine($root, 'bench', 'X86Virt.Bench')
$table = [IO.Path]::Combine($root, 'artifacts', 'bench', 'measurements.tsv')
$null = [IO.Directory]::CreateDirectory([IO.Path]::GetDirectoryName($table))
[IO.File]::Delete($table)
$arguments = @('--table', $table)
if ($Engine) { $arguments += '--engine', ($Engine -join ',') }
if ($Paging) { $arguments += '--paging', ($Paging -join ',') }
if ($Kernel) { $arguments += '--kernel', ($Kernel -join ',') }
if ($Suite) { $arguments += '--suite', ($Suite -join ',') }
if ($Repeat) { $arguments += '--repeat', $Repeat }
if ($Peer) { $arguments += '--peer', $Peer }

& dotnet run -c Release --project $project -- @arguments | Out-Host
$exitCode = $LASTEXITCODE

# Figures are numbers in the invariant culture; NaN where there is nothing to compare with.
if ([IO.File]::Exists($table)) {
    $lines = [IO.File]::ReadAllLines($table)
    $names = $lines[0] -split "`t"
    for ($row = 1; $row -lt $lines.Count; $row++) {
        $values = $lines[$row] -split "`t"
        $measurement = [ordered]@{}
        for ($i = 0; $i -lt $names.Count; $i++) {
            $number = 0.0
            $isNumber = [double]::TryParse($values[$i], [Globalization.NumberStyles]::Float, [Globalization.CultureInfo]::InvariantCulture, [ref] $number)
            $measurement[$names[$i]] = if ($isNumber) { $number } else { $values[$i] }
        }
        [pscustomobject] $measurement
    }
}
if ($exitCode -ne 0) { throw "The benchmarks ended with exit code $exitCode; what went wrong is above." }

# Runs the body of a container to learn its blocks and tests. An error makes the container fail as a whole.
function Find-ContainerTest($Container) {
    $root = New-Block -Command 'Root' -Name '' -Parent $null -Row @{ HasData = $false; Data = $null }
    $Container.Root = $root
    $script:Run.CurrentBlock = $root
    $clock = [System.Diagnostics.Stopwatch]::StartNew()
    try {
        Invoke-InScriptScope $script:DiscoveryFrame @{
            Root      = $root
            Body      = $Container.Item
            Arguments = $Container.Data
            Enter     = { }
            Leave     = { param ($frame) $frame.Root.Data = Get-ContainerData $frame.Body $frame.Arguments; $frame.Root.HasData = $true }
        }
    }
    catch {
        $Container.ErrorRecord.Add($_)
        $Container.Result = 'Failed'
    }
    finally { $script:Run.CurrentBlock = $null }
    $Container.Blocks = @($root.Order | Where-Object Command -NE 'It')
    $Container.DiscoveryDuration = $clock.Elapsed
}

# Called from the discovery frame, where the file has just been dot-sourced: its parameters, with defaults in place,
# become variables of the run.
function Get-ContainerData($Item, [System.Collections.IDictionary] $Given) {
    $data = @{}
    foreach ($name in $Given.Keys) { $data[$name] = $Given[$name] }
    $ast = if ($Item -is [scriptblock]) { $Item.Ast }
    else { [System.Management.Automation.Language.Parser]::ParseFile($Item, [ref]$null, [ref]$null) }
    if ($ast.ParamBlock) {
        foreach ($parameter in $ast.ParamBlock.Parameters) {
            $name = $parameter.Name.VariablePath.UserPath
            $data[$name] = $script:Run.SessionState.PSVariable.GetValue($name)
        }
    }
    $data
}

# Every test below a block, in the order of the file.
function Get-BlockTest($Block) {
    foreach ($item in $Block.Order) {
        if ($item.Command -eq 'It') { $item } else { Get-BlockTest $item }
    }
}

# Every block below a block, outermost first.
function Get-BlockDescendant($Block) {
    foreach ($item in $Block.Order) {
        if ($item.Command -ne 'It') { $item; Get-BlockDescendant $item }
    }
}

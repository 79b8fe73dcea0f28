BeforeAll {
    . "$PSScriptRoot/Invoke-Sample.ps1"
    $path = [System.IO.Path]::Combine($TestDrive, 'report.xml')
    function Get-Report([string] $Format) {
        $null = Invoke-Sample @'
Describe 'd' {
    It 'passes' { }
    It 'fails' { '<&>' | Should -Be 'other' }
    It 'is skipped' -Skip { }
    Context 'c' { It 'inner' { } }
}
'@ @{ TestResult = @{ Enabled = $true; OutputPath = $path; OutputFormat = $Format; TestSuiteName = 'The suite' } }
        $report = [System.Xml.XmlDocument]::new()
        $report.Load($path)
        # The comma keeps the document from being taken apart into its nodes.
        , $report
    }
}

Describe 'NUnit 2.5' {
    BeforeAll { $report = Get-Report 'NUnitXml' }

    It 'counts' {
        $report.DocumentElement.LocalName | Should -Be 'test-results'
        $report.DocumentElement.GetAttribute('total') | Should -Be '4'
        $report.DocumentElement.GetAttribute('failures') | Should -Be '1'
    }
    It 'has a case for each test' {
        $report.SelectNodes('//test-case').Count | Should -Be 4
        $report.SelectSingleNode("//test-case[@name='d.c.inner']").GetAttribute('result') | Should -Be 'Success'
        $report.SelectSingleNode("//test-case[@name='d.fails']").GetAttribute('result') | Should -Be 'Failure'
        $report.SelectSingleNode("//test-case[@name='d.is skipped']").GetAttribute('result') | Should -Be 'Ignored'
    }
    It 'has the message of a failure' {
        $report.SelectSingleNode("//test-case[@name='d.fails']/failure/message").InnerText | Should -Match '<&>'
    }
    It 'has the name of the suite' {
        $report.SelectSingleNode('/test-results/test-suite').GetAttribute('name') | Should -Be 'The suite'
    }
}

Describe 'NUnit 3' {
    BeforeAll { $report = Get-Report 'NUnit3' }

    It 'counts' {
        $report.DocumentElement.LocalName | Should -Be 'test-run'
        $report.DocumentElement.GetAttribute('total') | Should -Be '4'
        $report.DocumentElement.GetAttribute('passed') | Should -Be '2'
        $report.DocumentElement.GetAttribute('failed') | Should -Be '1'
        $report.DocumentElement.GetAttribute('skipped') | Should -Be '1'
    }
    It 'has a case for each test' {
        $report.SelectNodes('//test-case').Count | Should -Be 4
        $report.SelectSingleNode("//test-case[@fullname='d.c.inner']").GetAttribute('result') | Should -Be 'Passed'
        $report.SelectSingleNode("//test-case[@fullname='d.fails']/failure/message").InnerText | Should -Match '<&>'
    }
}

Describe 'JUnit' {
    BeforeAll { $report = Get-Report 'JUnitXml' }

    It 'counts and has a case for each test' {
        $report.DocumentElement.LocalName | Should -Be 'testsuites'
        $report.DocumentElement.GetAttribute('failures') | Should -Be '1'
        $report.SelectNodes('//testcase').Count | Should -Be 4
        $report.SelectNodes('//testcase/failure').Count | Should -Be 1
    }
}
